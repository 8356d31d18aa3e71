import FoundationEssentials
import LCPWire
import Platform

/// Which model each pipeline had last, on disk beside the ``ModelCache``: so that a device knows it also where everything was off
/// at once, and the broker's memory is gone.
///
/// A pipeline is known by its broker's address and its root: a broker of another house that has a pipeline of the same name is
/// another one.
struct KeptOffers: Sendable {
    private struct Record: Codable {
        var broker: String
        var pipeline: String
        var offer: ModelOffer
    }

    let path: String
    /// The most pipelines that are remembered; the oldest go first.
    static let maximumPipelines = 64
    private static let maximumBytes = 128 << 10

    init(beside cache: ModelCache) { path = "\(cache.path)/../pipelines" }

    /// The file of a pipeline.
    func file(broker: String, pipeline: String) -> String {
        "\(path)/\(SHA256.hex(Array("\(broker) \(pipeline)".utf8)).prefix(32)).json"
    }

    /// What a pipeline had last; nil where that is not known, or cannot be read.
    func offer(broker: String, pipeline: String) -> ModelOffer? {
        guard let bytes = try? FileIO.read(file(broker: broker, pipeline: pipeline), limit: Self.maximumBytes),
            let record = try? JSONDecoder().decode(Record.self, from: Data(bytes)),
            record.broker == broker, record.pipeline == pipeline
        else { return nil }
        // Checked as one from the network is: somebody may have written it.
        return try? ModelOffer(record.offer.json)
    }

    /// Keeps what a pipeline has.
    ///
    /// - Throws: ``FileError``, for example on a full disk.
    func keep(_ offer: ModelOffer, broker: String, pipeline: String) throws(FileError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let record = Record(broker: broker, pipeline: pipeline, offer: offer)
        guard let json = try? encoder.encode(record) else { return }
        try FileIO.makeFolder(path)
        try FileIO.write(Array(json), to: file(broker: broker, pipeline: pipeline))
        prune()
    }

    private func prune() {
        guard let names = try? FileIO.list(path), names.count > Self.maximumPipelines else { return }
        let aged = names.sorted { FileIO.modificationTime("\(path)/\($0)") < FileIO.modificationTime("\(path)/\($1)") }
        for name in aged.prefix(names.count - Self.maximumPipelines) { FileIO.remove("\(path)/\(name)") }
    }
}
