import FoundationEssentials
import Glibc
import LCPEvaluation
import LCPModels
import LCPWire
import Platform

/// Puts pipelines on this machine through faults and measures what becomes of their frames.
///
/// Every trial has real processes and a real mosquitto of its own. What is promised stands beside what was seen; the durations are
/// those of the machine and whatever else it does.
public struct TrialRunner: Sendable {
    let executable: String
    /// What a trial's full length is multiplied by.
    let scale: Double
    /// For the trials of a long stream.
    private let streamSeconds: Double

    /// The aggregator's deadline, milliseconds, and what p99.9 may be above it.
    static let deadline = 100.0
    static let slack = 5.0
    /// What a slow device is made to look like, milliseconds.
    static let serviceTime = 20.0

    /// - Parameters:
    ///   - executable: the program `lcp`; this one where nil.
    ///   - scale: 1 for trials of full length; less for a quick look.
    ///   - streamSeconds: how long the long stream is; its full length times `scale` where nil.
    /// - Throws: ``PipelineError`` where this program cannot find itself.
    public init(executable: String? = nil, scale: Double = 1, streamSeconds: Double? = nil) throws {
        self.executable = try executable ?? ownProgram()
        self.scale = scale
        self.streamSeconds = streamSeconds ?? Trial.stream.fullLength * scale
    }

    /// Runs one trial; leaves nothing behind.
    ///
    /// - Throws: ``PipelineError``, ``MQTTError`` or ``ChaosError`` where it cannot be run at all, or a process never comes to what
    ///   it has to do.
    public func run(_ trial: Trial) async throws -> TrialResult {
        if trial == .cluster { return try await cluster() }
        let pipeline = try await TrialPipeline(executable: executable)
        let start = ContinuousClock.now
        var result = TrialResult(trial: trial, seconds: 0)
        do {
            switch trial {
            case .kill: try await kill(pipeline, &result, spare: true)
            case .killAlone: try await kill(pipeline, &result, spare: false)
            case .pause: try await pause(pipeline, &result)
            case .replica: try await replica(pipeline, &result)
            case .unequal: try await unequal(pipeline, &result)
            case .throttled: try await throttled(pipeline, &result)
            case .many: try await many(pipeline, &result)
            case .pipelines: try await pipelines(pipeline, &result)
            case .broker: try await broker(pipeline, &result)
            case .aggregator: try await aggregator(pipeline, &result)
            case .aggregators: try await aggregators(pipeline, &result)
            case .frozen: try await frozen(pipeline, &result)
            case .restarts: try await restarts(pipeline, &result)
            case .disk: try await disk(pipeline, &result)
            case .theft: try await theft(pipeline, &result)
            case .pictures: try await pictures(pipeline, &result)
            case .repeats: try await repeats(pipeline, &result)
            case .overload: try await overload(pipeline, &result)
            case .hostile: try await hostile(pipeline, &result)
            case .models: try await models(pipeline, &result)
            case .stream: try await stream(pipeline, &result)
            case .cluster: break
            }
        } catch {
            await pipeline.end()
            throw error
        }
        await pipeline.end()
        result.seconds = (ContinuousClock.now - start).milliseconds / 1000
        return result
    }

    func length(_ trial: Trial) -> Double {
        trial == .stream || trial == .cluster ? streamSeconds : trial.fullLength * scale
    }

    // MARK: What all of them count

    /// Adds how many frames were answered, how often and how soon.
    func count(_ answers: [TrialPipeline.Answer], of frames: Int, into result: inout TrialResult) {
        let times = Dictionary(grouping: answers, by: \.prediction.frame).mapValues(\.count)
        result.add("frames", Double(frames))
        result.add("frames_lost", Double((0..<frames).count { times["\($0)"] == nil }), atMost: 0)
        result.add("frames_answered_twice", Double(times.values.count { $0 > 1 }), atMost: 0)
        result.add("frames_incomplete", Double(answers.count { !$0.prediction.missing.isEmpty }))
    }

    /// Adds how long the first branch waited for the last.
    func countJoins(_ answers: [TrialPipeline.Answer], into result: inout TrialResult) {
        let joins = answers.compactMap(\.prediction.joinMilliseconds).sorted()
        result.add("join_p50_ms", Self.percentile(joins, 0.5))
        result.add("join_p99_9_ms", Self.percentile(joins, 0.999), atMost: Self.deadline + Self.slack)
        result.add("join_worst_ms", joins.last ?? .nan)
    }

    /// Adds by how much the processes' resident memory grew.
    func addGrowth(from before: [String: Int], to after: [String: Int], into result: inout TrialResult) {
        for (name, bytes) in after.sorted(by: { $0.key < $1.key }) {
            let growth = Double(bytes) / Double(before[name] ?? bytes) - 1
            result.add("memory_growth_\(name)_percent", 100 * growth, atMost: 5)
        }
    }

    static func percentile(_ sorted: [Double], _ share: Double) -> Double {
        sorted.isEmpty ? .nan : sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))]
    }

    static func accuracy(_ answers: [TrialPipeline.Answer]) -> Double {
        let judged = answers.filter { $0.prediction.truth != nil }
        return judged.isEmpty
            ? .nan : Double(judged.count { $0.prediction.truth == $0.prediction.class }) / Double(judged.count)
    }

    static func seconds(_ from: ContinuousClock.Instant, _ to: ContinuousClock.Instant) -> Double {
        (to - from).milliseconds / 1000
    }
}
