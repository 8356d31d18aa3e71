import LCPInference
public import LCPModels
import LCPWire
import Platform

/// How long a network takes on one thread of this machine's processor, with nothing else running: what an emulated device's time is
/// a multiple of.
public enum NetworkTime {
    /// The median of runs on the bytes of a picture, after some to warm up: the network does not look at what they are.
    ///
    /// - Parameter seconds: how long is measured, at least three runs.
    /// - Throws: ``NetworkError``, `InferenceError`.
    public static func measure(_ network: BranchedNetwork, branch: Int = 0, seconds: Double = 0.5) throws -> Duration {
        var random = SeededGenerator(seed: 1)
        let engine = try BranchEngine(network, branch: branch, of: try .random(for: network, using: &random))
        let pixels = (0..<network.input.elementCount).map { UInt8(truncatingIfNeeded: $0 * 31) }
        return try pixels.withUnsafeBytes { pixels in
            for _ in 0..<2 { try engine.run(pixels: pixels) }
            let end = ContinuousClock.now + .seconds(seconds)
            var times: [Duration] = []
            while times.count < 3 || ContinuousClock.now < end {
                let begin = ContinuousClock.now
                try engine.run(pixels: pixels)
                times.append(.now - begin)
            }
            return times.sorted()[times.count / 2]
        }
    }
}

/// How slow emulated devices are beside this machine.
public struct LabPace: Sendable, Hashable, Codable {
    /// The profile's benchmark on one thread here, milliseconds.
    public var benchmarkMilliseconds: Double
    /// How many times as long as this machine's processor the device's takes: its published benchmark over the same network here.
    public var slowness: Double
    /// How much slower than on the device everything goes: links, delays and processors alike. More than 1 for devices that are too
    /// fast to be emulated in the time that they take; results are divided by it.
    public var dilation: Double

    enum CodingKeys: String, CodingKey {
        case slowness, dilation
        case benchmarkMilliseconds = "benchmark_here_ms"
    }

    /// Measures a profile's benchmark on this machine.
    ///
    /// - Throws: ``NetworkError``, `InferenceError`.
    public static func measure(_ profile: DeviceProfile, dilation: Double = 1, seconds: Double = 1) throws -> LabPace {
        let network = try Network.named(profile.benchmark.network).split(into: 1)
        let here = try NetworkTime.measure(network, seconds: seconds).milliseconds
        return LabPace(
            benchmarkMilliseconds: here, slowness: profile.benchmark.milliseconds / here, dilation: dilation)
    }

    /// What a frame takes of a processor here for each that its network does: decoding, and the messages of all devices.
    static let overhead = 1.4

    /// How many devices this machine can emulate at once.
    public var maximumDevices: Int { Int(Double(Processors.available) * slowness * dilation / Self.overhead) }

    /// - Throws: ``PipelineError`` where this machine cannot emulate so many devices.
    func check(devices: Int, _ profile: DeviceProfile) throws(PipelineError) {
        guard devices > maximumDevices else { return }
        let needed = (Double(devices) / Double(max(1, maximumDevices)) * dilation * 1.1).rounded(.up)
        throw PipelineError(
            .invalidConfiguration,
            "\(devices) devices of profile \(profile.name) need more than this machine has: each is \(rounded(slowness)) times "
                + "as slow as one of its \(Processors.available) processors, so that it emulates \(maximumDevices) at once; "
                + "--dilation \(Int(needed)) lets time run slower for all")
    }
}

/// Two digits behind the point.
func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
