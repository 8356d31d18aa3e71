import Glibc
import LCPModels
public import LCPWire
import MQTT
import Platform

/// Measures the roles of this program, or another lcp, beside those of yet another, in paired rounds.
///
/// In every round both programs' roles are started anew, so that the luck of a process (where its memory lies, which core it runs
/// on) is not that of a program, and measured one right after the other, who is first changing from round to round. Broker,
/// frames and what sends them are the same for both, and so is everything else that happens on the machine, nearly: what is
/// compared is the ratio within a round.
public final class PairedBenchmark: Sendable {
    /// How the rounds' ratios lie, this program's figure by the other's.
    public struct Spread: Sendable, Codable, Hashable {
        public var median: Double
        /// A quarter of the rounds is below, and a quarter above.
        public var lowerQuartile: Double
        public var upperQuartile: Double
        public var lowest: Double
        public var highest: Double

        enum CodingKeys: String, CodingKey {
            case median
            case lowerQuartile = "p25"
            case upperQuartile = "p75"
            case lowest = "min"
            case highest = "max"
        }

        init(_ values: [Double]) {
            let sorted = values.sorted()
            median = sorted.quantile(0.5)
            (lowerQuartile, upperQuartile) = (sorted.quantile(0.25), sorted.quantile(0.75))
            (lowest, highest) = (sorted.first ?? 0, sorted.last ?? 0)
        }
    }

    /// One figure of both programs: medians, and how the ratios lie.
    public struct Comparison: Sendable {
        public var this: Double
        public var other: Double
        public var ratio: Spread

        init(_ this: [Double], _ other: [Double]) {
            self.this = Spread(this).median
            self.other = Spread(other).median
            ratio = Spread(zip(this, other).map { $0 / $1 })
        }
    }

    /// The messages of one case.
    public struct Result: Sendable {
        public var test: MessageBenchmark.Case
        public var latencyMicroseconds: Comparison
        public var framesPerSecond: Comparison
    }

    /// A role by itself.
    public struct RoleResult: Sendable {
        public var role: Role
        /// From its start to its being ready.
        public var startupMilliseconds: Comparison
        /// What it holds in memory when it has answered frames.
        public var residentKiB: Comparison
    }

    private struct Side {
        var executable: String
        var pipeline: String
        var topics: Topics
    }

    /// This program: the broker and the frames come from it, whatever is measured.
    private let executable: String
    /// The path of the program that is measured.
    public var program: String { sides[0].executable }
    private let sides: [Side]
    private let rounds: Int
    private let frames: Int
    private let folder = "/tmp/lcp-bench-\(getpid())"

    /// - Parameters:
    ///   - program: the path of the program `lcp` that is measured; this one where nil.
    ///   - other: the path of the other program `lcp`.
    ///   - rounds: how often each program is measured.
    ///   - frames: per measurement.
    /// - Throws: ``PipelineError`` where a program is missing.
    public init(_ program: String? = nil, against other: String, rounds: Int, frames: Int) throws {
        for path in [program, other].compactMap(\.self) where access(path, X_OK) != 0 || FileIO.isFolder(path) {
            throw PipelineError(.processFailed, "there is no program \(path): name an lcp as it was built")
        }
        let executable = try ownProgram()
        // Names of the same length, for messages of the same length.
        self.executable = executable
        sides = try [(program ?? executable, "bench-a"), (other, "bench-b")].map {
            Side(executable: $0, pipeline: $1, topics: try Topics(pipeline: $1))
        }
        self.rounds = rounds
        self.frames = frames
    }

    /// Measures one case.
    ///
    /// - Parameter progress: called with the number of every round, from 1, before it begins.
    /// - Throws: ``PipelineError`` where a process fails, `CancellationError`. No child is left then.
    public func run(_ test: MessageBenchmark.Case, progress: (Int) -> Void) async throws -> Result {
        var figures: [[FrameLoad.Figures]] = [[], []]
        try await inRounds(test, progress) { broker, client, order in
            var roles: [BenchmarkRoles] = []
            defer { for role in roles { role.stop() } }
            for side in order {
                roles.append(self.roles(of: side, broker))
                try await roles[roles.count - 1].start(test, listening: client, topics: sides[side].topics)
            }
            for side in order {
                figures[side].append(
                    try await FrameLoad.measure(client, topics: sides[side].topics, test, frames: frames))
            }
        }
        func compare(_ figure: (FrameLoad.Figures) -> Double) -> Comparison {
            Comparison(figures[0].map(figure), figures[1].map(figure))
        }
        return Result(
            test: test, latencyMicroseconds: compare(\.latencyMicroseconds), framesPerSecond: compare(\.framesPerSecond)
        )
    }

    /// Measures a worker and an aggregator by themselves. A round before the first, which does not count, brings both programs
    /// into the system's cache.
    ///
    /// - Parameter progress: as in ``run(_:progress:)``.
    /// - Throws: as ``run(_:progress:)``.
    public func measureRoles(_ test: MessageBenchmark.Case, progress: (Int) -> Void) async throws -> [RoleResult] {
        // By role and by program.
        let none: [[Double]] = [[], []]
        var (startups, residents) = ([none, none], [none, none])
        try await inRounds(test, warmup: 1, progress) { broker, client, order in
            for side in order {
                var roles = self.roles(of: side, broker)
                defer { roles.stop() }
                let startup = try await roles.startInTurn(
                    computes: test.computes, listening: client, topics: sides[side].topics)
                _ = try await FrameLoad.measure(client, topics: sides[side].topics, test, frames: frames)
                for (role, startup) in [startup.worker, startup.aggregator].enumerated() {
                    guard let resident = ProcessCosts.residentKiB(roles.children[role].processID) else {
                        throw PipelineError(
                            .processFailed, "a role of \(sides[side].executable) ended while it was measured")
                    }
                    startups[role][side].append(startup.milliseconds)
                    residents[role][side].append(resident)
                }
            }
        }
        func compare(_ figures: [[Double]]) -> Comparison {
            Comparison(Array(figures[0].dropFirst()), Array(figures[1].dropFirst()))
        }
        return [Role.worker, .aggregator].enumerated().map { index, role in
            RoleResult(
                role: role, startupMilliseconds: compare(startups[index]), residentKiB: compare(residents[index]))
        }
    }

    private func roles(of side: Int, _ broker: BrokerProcess) -> BenchmarkRoles {
        BenchmarkRoles(
            sides[side].executable, pipeline: sides[side].pipeline, model: folder, broker: broker)
    }

    /// Makes a broker, a client and a model, and calls `body` for every round with the order of the programs in it.
    private func inRounds(
        _ test: MessageBenchmark.Case, warmup: Int = 0, _ progress: (Int) -> Void,
        _ body: (BrokerProcess, MQTTClient, [Int]) async throws -> Void
    ) async throws {
        let broker = try BrokerProcess.start(configuration: BrokerProcess.localConfiguration())
        defer { broker.process.stop() }
        defer { ModelBundle.remove(at: folder) }
        _ = try BenchmarkRoles.makeBundle(test, at: folder)
        var configuration = MQTTConfiguration(address: .tcp(host: broker.host, port: broker.port))
        configuration.clientID = "lcp-bench-\(getpid())"
        try await MQTTClient.withConnection(configuration) { client in
            for round in -warmup..<rounds {
                try Task.checkCancellation()
                progress(max(1, round + 1))
                try await body(broker, client, round.isMultiple(of: 2) ? [0, 1] : [1, 0])
            }
        }
    }
}
