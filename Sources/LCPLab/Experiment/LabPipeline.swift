import FoundationEssentials
import Glibc
import LCPLocal
public import LCPModels
import LCPSettings
public import LCPWire
import Platform

/// A pipeline on the devices of a lab: a broker, an aggregator and the workers of one model, each a process on a device of its own.
public final class LabPipeline {
    /// One worker.
    public struct Worker: Sendable, Hashable {
        /// The device it is on, from 1.
        public var device: Int
        public var branch: Int
        /// What its branch takes on one thread of this machine.
        public var networkTime: Duration
        /// What decoding 1,000 bytes of a picture takes there.
        public var decodeTime: Duration

        public init(device: Int, branch: Int, networkTime: Duration, decodeTime: Duration) {
            self.device = device
            self.branch = branch
            self.networkTime = networkTime
            self.decodeTime = decodeTime
        }
    }

    /// What a run measured.
    public struct Measurement: Sendable {
        public var figures: PictureLoad.Figures
        /// What every device has sent and received meanwhile, bytes of Ethernet frames.
        public var traffic: [LabDevice: (sent: UInt64, received: UInt64)]
        /// The most that a worker had in memory, MiB.
        public var workerMiB: Double?
    }

    private let lab: Lab
    private let lcp: String
    private let pipeline = "lab"
    private let cache: String
    private let port: Int
    private var children: [ChildProcess] = []
    private var workers: [ChildProcess] = []

    /// Starts everything; ``measure(_:)`` waits until it is ready.
    ///
    /// - Parameters:
    ///   - pace: of the devices, as it was measured last.
    ///   - model: a bundle's folder.
    ///   - computes: whether workers run the network; otherwise they only take its time, and send zeros.
    ///   - lcp: the path of this program.
    /// - Throws: ``PipelineError``, `ProcessError`. Nothing is left then.
    public init(
        _ lab: Lab, _ pace: LabPace, model: String, workers: [Worker], features: FeatureEncoding = .fp16,
        computes: Bool = true, lcp: String
    ) throws {
        self.lab = lab
        self.lcp = lcp
        cache = "/tmp/lcp-lab-\(getpid())"
        port = Lab.brokerPort
        do {
            try startBroker()
            try startRelays(workers.map { .device($0.device) } + [.aggregator, .sensor])
            try startRole(.aggregator, on: .aggregator, "aggregator", ["--model", model, "--deadline", "60000"])
            for worker in workers {
                let slowness = pace.slowness * pace.dilation
                let arguments =
                    [
                        "--model", model, "--branch", "\(worker.branch)", "--threads", "1", "--features",
                        features.rawValue,
                        "--slowness", "\(slowness)", "--network-time", "\(worker.networkTime.milliseconds)",
                        "--decode-time", "\(worker.decodeTime.milliseconds * 1000)",
                    ] + (computes ? [] : ["--no-compute"])
                self.workers.append(
                    try startRole(.worker, on: .device(worker.device), "device-\(worker.device)", arguments))
            }
        } catch {
            stop()
            throw error
        }
    }

    deinit { stop() }

    private func startBroker() throws {
        let options = ["--bind", "0.0.0.0", "--port", "\(port)", "--quiet", "--memory-only", "--stop-at-eof"]
        children.append(try lab.start(.broker, [lcp, "broker"] + options, hiding: Setting.environmentVariables))
        // Relays and roles find it there.
        let port = UInt16(port)
        let connect = { @Sendable in try TCP.connect("127.0.0.1", port: port, patience: .seconds(10)) }
        close(
            lab.kind == .namespaces
                ? try NetworkNamespace.run(lab.layout.namespace(.broker), connect) : try connect())
    }

    private func startRelays(_ devices: [LabDevice]) throws {
        guard let check = lab.check else { return }
        for device in Set(devices) {
            children.append(try lab.startRelay(on: device, delay: check.relayMilliseconds, lcp: lcp))
        }
    }

    /// Where the roles of a device find the broker.
    private var url: String {
        "mqtt://127.0.0.1:\(lab.check == nil ? port : Lab.relayPort)"
    }

    @discardableResult
    private func startRole(
        _ role: Role, on device: LabDevice, _ name: String, _ arguments: [String]
    ) throws -> ChildProcess {
        let command =
            [
                "/usr/bin/env", "LCP_CACHE=\(cache)", lcp, role.rawValue, "--broker", url, "--pipeline", pipeline,
                "--name", name,
            ]
            // So that no frame gives way to a newer one, and none is left out where several are on their way.
            + ["--policy", "all", "--queue", "10000", "--stop-at-eof"] + arguments
        let child = try lab.start(device, command, hiding: Setting.environmentVariables)
        children.append(child)
        return child
    }

    /// Sends frames and measures.
    ///
    /// - Parameter pictures: a folder; nil for synthetic photographs.
    /// - Throws: ``PipelineError`` where it fails.
    public func measure(
        input: FeatureMapShape, frames: Int, warmup: Int = 3, window: Int = 1, pictures: String? = nil
    ) throws -> Measurement {
        let before = lab.traffic
        let output = try MemoryFile(name: "figures", text: "")
        let errors = try MemoryFile(name: "errors", text: "")
        var command = [
            lcp, "lab", "load", "--broker", url, "--pipeline", pipeline, "--input",
            "\(input.height)x\(input.width)x\(input.channels)",
            "--frames", "\(frames)", "--warmup", "\(warmup)", "--window", "\(window)", "--workers", "\(workers.count)",
        ]
        if let pictures { command += ["--pictures", pictures] }
        let child = try lab.start(
            .sensor, command, output: .descriptor(output.descriptor), errorOutput: .descriptor(errors.descriptor),
            hiding: Setting.environmentVariables)
        while child.poll() == nil {
            if Task.isCancelled { child.ask() }
            if children.contains(where: { $0.poll() != nil }) { child.ask() }
            usleep(20_000)
        }
        try Task.checkCancellation()
        if let ended = children.firstIndex(where: { $0.poll() != nil }) {
            throw PipelineError(
                .processFailed,
                "a process of the lab ended with status \(children[ended].poll() ?? 0) while it was measured")
        }
        guard child.poll() == 0,
            let figures = try? JSONDecoder().decode(PictureLoad.Figures.self, from: Data(try output.bytes()))
        else {
            let words = (try? errors.bytes()).map { String(decoding: $0, as: UTF8.self).printable } ?? ""
            throw PipelineError(.processFailed, "the lab's sensor failed: \(words.isEmpty ? "it said nothing" : words)")
        }
        return Measurement(figures: figures, traffic: lab.traffic(since: before), workerMiB: residentMiB)
    }

    /// Traces frames from the broker's device, which costs no link a copy.
    ///
    /// - Returns: the one in the middle by its latency; nil where none was seen whole.
    /// - Throws: as ``measure(input:frames:warmup:window:pictures:)``.
    public func trace(input: FeatureMapShape, frames: Int, pictures: String? = nil) throws -> FrameTrace? {
        struct Report: Decodable { var traces: [FrameTrace] }
        let output = try MemoryFile(name: "trace", text: "")
        let command = [
            lcp, "trace", "--broker", "mqtt://127.0.0.1:\(port)", "--pipeline", pipeline, "--frames", "\(frames)",
            "--for", "600", "--json",
        ]
        let child = try lab.start(
            .broker, command, output: .descriptor(output.descriptor), hiding: Setting.environmentVariables)
        defer { child.stop() }
        // Frames that it has not asked for yet are no loss: as many come again.
        for _ in 0..<3 where child.poll() == nil {
            _ = try measure(input: input, frames: frames, warmup: frames, pictures: pictures)
        }
        return try? JSONDecoder().decode(Report.self, from: Data(try output.bytes())).traces.median
    }

    private var residentMiB: Double? {
        workers.compactMap { ProcessCosts.peakResidentKiB($0.processID) }.max().map { $0 / 1024 }
    }

    /// Ends all processes.
    public func stop() {
        for child in children.reversed() { child.ask() }
        for child in children.reversed() { child.stop(patience: .seconds(10)) }
        children = []
        workers = []
    }
}
