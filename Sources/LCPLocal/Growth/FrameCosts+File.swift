import FoundationEssentials
public import LCPWire
import Platform

extension FrameCosts {
    /// As `Documentation/scaling.md` has them: two cores of a server, which the broker and all roles share.
    public static let usual = FrameCosts(
        machine: "2 cores of a Xeon",
        broker: .init(
            light: .init(messageMicroseconds: 7.8, kilobyteMicroseconds: 0.26),
            busy: .init(messageMicroseconds: 4.2, kilobyteMicroseconds: 0.41)),
        aggregator: .init(
            light: .init(frameMicroseconds: 23, messageMicroseconds: 8.8, millionMicroseconds: 180),
            busy: .init(frameMicroseconds: 6.3, messageMicroseconds: 6.6, millionMicroseconds: 168)),
        worker: .init(
            light: .init(frameMicroseconds: 26, kilobyteMicroseconds: 0.26),
            busy: .init(frameMicroseconds: 15, kilobyteMicroseconds: 0.31)),
        sensor: .init(light: .init(frameMicroseconds: 336), busy: .init(frameMicroseconds: 192)),
        acknowledged: .init(broker: 1.52, aggregator: 1.17, worker: 1.35, sensor: 1.62), eachOfTwoAggregators: 0.63,
        standing: .init(
            brokerMicroseconds: 31, brokerKiB: 11.6, aggregatorMicroseconds: 640, workerMicroseconds: 167))

    /// Reads what `lcp bench growth --json` wrote.
    ///
    /// - Throws: ``PipelineError`` where the file cannot be read or holds none.
    public init(path: String) throws(PipelineError) {
        struct File: Decodable { var costs: FrameCosts }
        let bytes: [UInt8]
        do { bytes = try FileIO.read(path, limit: 1 << 20) } catch {
            throw PipelineError(.invalidConfiguration, "\(error)")
        }
        guard let file = try? JSONDecoder().decode(File.self, from: Data(bytes)), file.costs.isUsable else {
            throw PipelineError(
                .invalidConfiguration,
                "\(path) does not hold what messages cost: write it with lcp bench growth --json")
        }
        self = file.costs
        machine = String(machine.prefix(100)).printable
    }

    /// Whether the numbers can be costs, and a frame costs something everywhere.
    private var isUsable: Bool {
        let ranges = [broker, aggregator, worker, sensor]
        let costs = ranges.flatMap { [$0.light, $0.busy] }
        let parts = costs.flatMap {
            [$0.frameMicroseconds, $0.messageMicroseconds, $0.kilobyteMicroseconds, $0.millionMicroseconds]
        }
        let factors = Place.allCases.map { acknowledged[$0] } + [eachOfTwoAggregators]
        let rest = [
            standing.brokerMicroseconds, standing.brokerKiB, standing.aggregatorMicroseconds,
            standing.workerMicroseconds,
        ]
        // Up to a second for anything.
        return (parts + rest).allSatisfy { (0...1_000_000).contains($0) }
            && factors.allSatisfy { (0.01...100).contains($0) }
            && costs.allSatisfy { $0.frameMicroseconds + $0.messageMicroseconds > 0.01 }
    }
}
