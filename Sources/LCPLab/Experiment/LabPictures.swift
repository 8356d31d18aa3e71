import Images
import LCPLocal
import LCPModels
import LCPWire
import MQTT
import Platform

/// What sensors of a lab send.
enum LabPictures {
    /// Decodes a sensor's picture as workers do: it has the network's size.
    static func decode(_ file: [UInt8], _ input: FeatureMapShape) throws -> [UInt8] {
        try file.withUnsafeBytes { bytes in
            try Image.decode(
                bytes, channels: input.channels, size: .exactly(height: input.height, width: input.width)
            ).0.pixels
        }
    }

    /// What decoding takes for each byte on one thread here, warm, with nothing else going on, milliseconds: by the least that each file
    /// took.
    static func decodeMillisecondsPerByte(_ files: [[UInt8]], _ input: FeatureMapShape) throws -> Double {
        // As roles do.
        MQTTClient.keepFreedMemory()
        let end = ContinuousClock.now + .milliseconds(200)
        while ContinuousClock.now < end { _ = try decode(files[0], input) }
        let times = try files.map { file in
            let times = try (0..<15).map { _ in
                let begin = ContinuousClock.now
                _ = try decode(file, input)
                return (ContinuousClock.now - begin).milliseconds
            }
            return times.min() ?? 0
        }
        return times.mean / files.map { Double($0.count) }.mean
    }

    /// - Parameter folder: of pictures; nil for synthetic photographs.
    /// - Throws: ``PipelineError`` where there are none, or one cannot be read.
    static func load(_ folder: String?, _ input: FeatureMapShape) throws -> [Image] {
        guard let folder else {
            return SyntheticPhotographs.pictures(
                16, height: input.height, width: input.width, channels: input.channels)
        }
        let names = try FileIO.list(folder).sorted().filter { !$0.hasPrefix(".") }
        guard !names.isEmpty else { throw PipelineError(.unreadableInput, "\(folder) holds no pictures") }
        let size = ImageSize(height: input.height, width: input.width, channels: input.channels)
        return try names.prefix(256).map { name in
            let bytes = try FileIO.read("\(folder)/\(name)", limit: 32 << 20)
            do { return try bytes.withUnsafeBytes { try Image.decode($0, to: size).0 } } catch {
                throw PipelineError(.unreadableInput, "\(folder)/\(name): \(error)")
            }
        }
    }
}
