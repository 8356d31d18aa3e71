import Foundation
import LCPDatasets
import Testing

/// A folder of the test's own, gone with its last reference.
final class TestFolder: Sendable {
    let path = NSTemporaryDirectory() + "lcp-\(UUID().uuidString)"

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        let url = URL(fileURLWithPath: "\(path)/\(name)")
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
    }

    func read(_ name: String) -> [UInt8]? {
        FileManager.default.contents(atPath: "\(path)/\(name)").map { [UInt8]($0) }
    }

    var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }
}

/// The real data sets in the folder that the environment's `LCP_DATA` names.
enum RealData {
    static func folder(_ name: String) throws -> String {
        "\(try #require(ProcessInfo.processInfo.environment["LCP_DATA"]))/\(name)"
    }
}

extension Trait where Self == ConditionTrait {
    static var needsRealData: Self {
        .enabled(
            if: ProcessInfo.processInfo.environment["LCP_DATA"]?.isEmpty == false,
            "SKIPPED: LCP_DATA names no folder with real data")
    }
}

/// What everybody normalises with is what the training images have.
func expectUsual(_ images: LabeledImages, _ data: DataSpecification) throws {
    let (usual, measured) = (
        try #require(data.normalization(channels: images.channels)), images.measuredNormalization()
    )
    for (usual, measured) in zip(
        usual.mean + usual.standardDeviation, measured.mean + measured.standardDeviation)
    {
        #expect(abs(usual - measured) < 2e-4)
    }
}
