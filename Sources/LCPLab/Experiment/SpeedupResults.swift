import LCPLocal
import LCPModels

/// What an experiment came to, for tables and charts.
public struct SpeedupResults: Sendable, Encodable {
    /// One run beside the original in the same setting.
    public struct Row: Sendable, Encodable {
        public var record: RunRecord
        /// How many times faster than the original on one device, by the means; nil where that was not measured.
        public var speedup: Double?
        /// What the paper has for the same.
        public var paperSpeedup: Double?

        enum CodingKeys: String, CodingKey {
            case record, speedup
            case paperSpeedup = "paper_speedup"
        }
    }

    public var experiment: String
    public var rows: [Row]
    public var compute: [ComputeRatio]

    public init(_ experiment: SpeedupExperiment, _ records: [RunRecord], compute: [ComputeRatio]) {
        self.experiment = experiment.name
        self.compute = compute
        rows = records.map { record in
            func isOriginal(_ other: SpeedupExperiment.Run) -> Bool {
                other.way == .original && other.network == record.run.network
            }
            let original = records.first { $0.setting == record.setting && isOriginal($0.run) }
            let paper = experiment.runs.first(where: isOriginal)?.paperMilliseconds
            return Row(
                record: record, speedup: original.map { $0.latency.mean / record.latency.mean },
                paperSpeedup: paper.flatMap { paper in record.run.paperMilliseconds.map { paper / $0 } })
        }
    }

    /// How many of the runs that the planner plans took within 15 % of what it tells, and how many there are.
    public var planned: (within: Int, of: Int) {
        let ratios = rows.compactMap { row in row.record.plannedMilliseconds.map { row.record.latency.mean / $0 } }
        return (ratios.count { (0.85...1.15).contains($0) }, ratios.count)
    }

    public func rows(of setting: String) -> [Row] { rows.filter { $0.record.setting == setting } }

    /// The geometric mean of the speedups of branches on so many devices, and the paper's for the same networks.
    public func meanSpeedup(_ setting: String, devices: Int) -> (here: Double, paper: Double?)? {
        let rows = rows(of: setting).filter {
            $0.record.run.way == .lcp && $0.record.run.devices == devices && ($0.record.run.fatten ?? 0) == 0
        }
        let found = rows.compactMap(\.speedup)
        guard !found.isEmpty, found.count == rows.count else { return nil }
        let paper = rows.compactMap(\.paperSpeedup)
        return (found.geometricMean, paper.count == rows.count ? paper.geometricMean : nil)
    }
}

/// What a branch computes in, beside the whole network in the fastest engine, both alone on one thread of this machine.
public struct ComputeRatio: Sendable, Codable, Hashable {
    /// For example `alexnet-split8-f40`.
    public var name: String
    public var originalMilliseconds: Double
    public var engine: String
    public var branchMilliseconds: Double

    enum CodingKeys: String, CodingKey {
        case name, engine
        case originalMilliseconds = "original_ms"
        case branchMilliseconds = "branch_ms"
    }

    public var ratio: Double { originalMilliseconds / branchMilliseconds }

    /// Measures networks, each in one piece and in two, four and eight branches, the eight also made 40 % wider, one right after the
    /// other.
    ///
    /// - Throws: ``NetworkError``, `InferenceError`, `CancellationError`.
    public static func measure(
        _ networks: [String], _ engines: EngineTimes, progress: (String) -> Void
    ) throws -> [ComputeRatio] {
        var result: [ComputeRatio] = []
        for name in networks {
            let network = try Network.named(name)
            for (branches, fatten) in [(2, 0), (4, 0), (8, 0), (8, 40)] {
                try Task.checkCancellation()
                let title = "\(name)-split\(branches)" + (fatten > 0 ? "-f\(fatten)" : "")
                progress(title)
                let original = try NetworkTime.measure(try network.split(into: 1))
                let split = try network.split(into: branches, fattening: .init(integerLiteral: fatten))
                let branch = try NetworkTime.measure(split)
                let (fastest, engine) = engines.fastest(name, lcp: original)
                result.append(
                    ComputeRatio(
                        name: title, originalMilliseconds: fastest.milliseconds, engine: engine,
                        branchMilliseconds: branch.milliseconds))
            }
        }
        return result
    }
}
