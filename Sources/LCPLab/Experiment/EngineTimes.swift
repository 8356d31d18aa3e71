import FoundationEssentials
public import LCPWire
import Platform

/// What networks in one piece take in other engines on one thread of this machine: `Benchmarks/engines/compare.py --json` writes it.
public struct EngineTimes: Sendable, Hashable {
    private struct Row: Decodable {
        /// For example `alexnet-split1`.
        var model: String
        /// By engine.
        var microseconds: [String: Double]

        enum CodingKeys: String, CodingKey {
            case model
            case microseconds = "us"
        }
    }

    /// By network and engine, milliseconds.
    private var times: [String: [String: Double]] = [:]

    public init() {}

    /// - Throws: ``PipelineError`` where the file is none.
    public init(path: String) throws(PipelineError) {
        do {
            for row in try JSONDecoder().decode([Row].self, from: Data(try FileIO.read(path, limit: 1 << 20)))
            where row.model.hasSuffix("-split1") {
                times[String(row.model.dropLast("-split1".count))] = row.microseconds.mapValues { $0 / 1000 }
            }
        } catch {
            throw PipelineError(
                .invalidConfiguration,
                "\(path) does not hold the times of engines: write it with Benchmarks/engines/compare.py --json")
        }
    }

    public var isEmpty: Bool { times.isEmpty }

    /// The fastest of lcp, ONNX Runtime and OpenVINO, and its time: they were measured in turns with lcp, so that it is lcp's time now
    /// in their proportion then.
    func fastest(_ network: String, lcp: Duration) -> (Duration, String) {
        let all = times[network] ?? [:]
        let others = all.filter { ["ONNX Runtime", "OpenVINO"].contains($0.key) && $0.value > 0 }
        guard let own = all["lcp"], let best = others.min(by: { ($0.value, $0.key) < ($1.value, $1.key) }),
            best.value < own
        else { return (lcp, "lcp") }
        return (lcp * (best.value / own), best.key)
    }
}
