import FoundationEssentials
import Glibc
import LCPLocal
import LCPModels
import LCPSettings
public import LCPWire
import Platform

/// A network that devices of a lab share by talking to each other: a process on each of them, and the sensor.
public enum LabSharing {
    /// What a run measured.
    public struct Measurement: Sendable {
        public var figures: SharingLoad.Figures
        /// What every device has sent and received meanwhile, bytes of Ethernet frames.
        public var traffic: [LabDevice: (sent: UInt64, received: UInt64)]
        /// The most that a device had in memory, MiB.
        public var deviceMiB: Double?
        /// What each device's parts of the network take on one thread of this machine, measured one after the other.
        public var networkTimes: [Double]
    }

    /// Starts everything, measures, and ends everything.
    ///
    /// - Parameter lcp: the path of this program.
    /// - Throws: ``PipelineError``, ``NetworkError``, `ProcessError`.
    public static func measure(
        _ lab: Lab, _ pace: LabPace, _ shared: SharedNetwork, encoding: FeatureEncoding = .fp16, frames: Int,
        warmup: Int = 1,
        pictures: String? = nil, lcp: String
    ) throws -> Measurement {
        guard lab.kind == .namespaces else {
            throw PipelineError(
                .resources, "networks that devices share need devices with links of their own: run it as root")
        }
        _ = try shared.programs()
        let devices = (1...shared.devices).map(LabDevice.device)
        let dilation = pace.dilation
        let common = [
            "--way", shared.way.rawValue, "--network", shared.network.name, "--devices", "\(shared.devices)",
            "--addresses", devices.map(lab.layout.address).joined(separator: ","), "--delay",
            "\(lab.profile.link.delayMilliseconds * dilation)", "--features", encoding.rawValue,
        ]
        var children: [ChildProcess] = []
        defer {
            for child in children.reversed() { child.ask() }
            for child in children.reversed() { child.stop(patience: .seconds(5)) }
        }
        var times: [Double] = []
        for (number, device) in devices.enumerated() {
            let output = try MemoryFile(name: "measured", text: "")
            let child = try lab.start(
                device,
                [lcp, "lab", "share"] + common + [
                    "--device", "\(number)", "--slowness", "\(pace.slowness * dilation)",
                ], output: .descriptor(output.descriptor), errorOutput: .inherited)
            children.append(child)
            // One after the other, so that each measures alone.
            times.append(try measuredTime(child, output))
        }
        let before = lab.traffic
        let output = try MemoryFile(name: "figures", text: "")
        var command = [lcp, "lab", "share-load"] + common + ["--frames", "\(frames)", "--warmup", "\(warmup)"]
        if let pictures { command += ["--pictures", pictures] }
        let load = try lab.start(
            .sensor, command, output: .descriptor(output.descriptor), errorOutput: .inherited)
        children.append(load)
        // Devices end with the sensor, and what they had in memory is not known any more then.
        var peakKiB: Double?
        while load.poll() == nil {
            try Task.checkCancellation()
            let peaks = children.dropLast().compactMap { ProcessCosts.peakResidentKiB($0.processID) }
            peakKiB = (peaks + [peakKiB].compactMap(\.self)).max()
            usleep(200_000)
        }
        guard load.poll() == 0,
            let figures = try? JSONDecoder().decode(SharingLoad.Figures.self, from: Data(try output.bytes()))
        else { throw PipelineError(.processFailed, "the lab's sensor failed") }
        return Measurement(
            figures: figures, traffic: lab.traffic(since: before),
            deviceMiB: peakKiB.map { $0 / 1024 }, networkTimes: times)
    }

    private static func measuredTime(_ child: ChildProcess, _ output: MemoryFile) throws -> Double {
        while true {
            try Task.checkCancellation()
            let text = String(decoding: try output.bytes(), as: UTF8.self)
            if text.hasSuffix("\n"), let time = Double(text.dropLast()) { return time }
            if let status = child.poll() {
                throw PipelineError(
                    .processFailed, "a device of the lab ended with status \(status) before it was ready")
            }
            usleep(20_000)
        }
    }
}
