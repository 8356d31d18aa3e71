import FoundationEssentials
import LCPModels
public import LCPWire
import Platform

/// A kind of device that is emulated: its link, its memory, how slow its processor is, what power it takes. Every figure names its
/// source.
public struct DeviceProfile: Sendable, Hashable, Codable {
    /// The network as a device sees it.
    public struct Link: Sendable, Hashable, Codable {
        /// Of each direction, bits of Ethernet frames.
        public var megabitsPerSecond: Double
        /// From one device to another, besides what the bytes take.
        public var delayMilliseconds: Double
        public var source: String

        enum CodingKeys: String, CodingKey {
            case source
            case megabitsPerSecond = "mbit_per_s"
            case delayMilliseconds = "delay_ms"
        }

        public var bytesPerSecond: Double { megabitsPerSecond * 125_000 }
    }

    /// A published measurement of a network on the device, all of its cores together: what slowness is derived from.
    public struct Benchmark: Sendable, Hashable, Codable {
        /// A network of the zoo.
        public var network: String
        public var milliseconds: Double
        public var threads: Int
        public var source: String

        enum CodingKeys: String, CodingKey {
            case network, threads, source
            case milliseconds = "ms"
        }
    }

    /// A model of what the device takes, by whether it computes.
    public struct Power: Sendable, Hashable, Codable {
        public var idleWatts: Double
        public var busyWatts: Double
        public var source: String

        enum CodingKeys: String, CodingKey {
            case source
            case idleWatts = "idle_w"
            case busyWatts = "busy_w"
        }
    }

    /// For example `rpi3b+`.
    public var name: String
    /// What it emulates, for people.
    public var title: String
    public var cores: Int
    public var memoryMiB: Int
    public var link: Link
    public var benchmark: Benchmark
    public var power: Power

    enum CodingKeys: String, CodingKey {
        case name, title, cores, link, benchmark, power
        case memoryMiB = "memory_mib"
    }

    /// What stands on every result: that this is no such device.
    public var label: String { "emulated, profile \(name)" }

    private struct File: Decodable { var profiles: [DeviceProfile] }

    /// The profiles that come with the program.
    ///
    /// - Throws: ``PipelineError`` where their file is missing or damaged.
    public static func shipped() throws(PipelineError) -> [DeviceProfile] {
        guard let path = ShippedFiles.path("Configs/devices.json") else {
            throw PipelineError(
                .invalidConfiguration,
                "Configs/devices.json is missing: it stands beside the program, in ../share/lcp, or in LCP_HOME")
        }
        return try read(path)
    }

    /// Reads a file of profiles, as `Configs/devices.json` is one.
    ///
    /// - Throws: ``PipelineError``, one sentence with the file and the reason.
    public static func read(_ path: String) throws(PipelineError) -> [DeviceProfile] {
        do {
            let profiles = try JSONDecoder().decode(
                File.self, from: Data(try FileIO.read(path, limit: 1 << 20))
            ).profiles
            for profile in profiles { try profile.validate() }
            return profiles
        } catch let error as PipelineError {
            throw PipelineError(.invalidConfiguration, "\(path): \(error)")
        } catch let error as FileError {
            throw PipelineError(.invalidConfiguration, "\(error)")
        } catch {
            throw PipelineError(.invalidConfiguration, "\(path) holds no profiles: \(error.reason)")
        }
    }

    /// The profile of a name.
    ///
    /// - Parameter file: where profiles stand; nil for those that come with the program.
    /// - Throws: ``PipelineError`` that lists the names.
    public static func named(_ name: String, in file: String? = nil) throws(PipelineError) -> DeviceProfile {
        let profiles = if let file { try read(file) } else { try shipped() }
        guard let profile = profiles.first(where: { $0.name == name }) else {
            throw PipelineError(
                .invalidConfiguration,
                "there is no profile \(name.debugDescription): there are \(profiles.map(\.name).joined(separator: ", "))"
            )
        }
        return profile
    }

    private func validate() throws(PipelineError) {
        func check(_ value: Double, _ range: ClosedRange<Double>, _ what: String) throws(PipelineError) {
            guard range.contains(value) else {
                throw PipelineError(
                    .invalidConfiguration,
                    "\(what) of \(name.debugDescription) is \(value), and has to be \(range.lowerBound) to \(range.upperBound)"
                )
            }
        }
        try check(link.megabitsPerSecond, 0.1...100_000, "mbit_per_s")
        try check(link.delayMilliseconds, 0...10_000, "delay_ms")
        try check(benchmark.milliseconds, 0.001...10_000_000, "ms")
        try check(Double(memoryMiB), 16...1_048_576, "memory_mib")
        try check(Double(cores), 1...1024, "cores")
        try check(power.idleWatts, 0...10_000, "idle_w")
        try check(power.busyWatts, power.idleWatts...10_000, "busy_w")
        guard (try? Network.named(benchmark.network)) != nil else {
            throw PipelineError(
                .invalidConfiguration, "the benchmark of \(name.debugDescription) names no network of the zoo")
        }
    }
}
