import ResilienceTrials
import Testing

/// The trials of `lcp chaos promises`, shortened. What they count has to be as promised; how long something takes and how much
/// memory it uses is said by the full trials, on a machine that does nothing else.
@Suite(.serialized) struct TrialTests {
    static let scale: [Trial: Double] = [
        .kill: 0.2, .killAlone: 0.2, .pause: 0.2, .replica: 0.3, .broker: 0.2, .aggregator: 0.4, .frozen: 0.3,
        .unequal: 0.2, .throttled: 0.2, .many: 0.15, .pictures: 0.3, .repeats: 0.2, .overload: 0.1,
        .hostile: 0.1, .pipelines: 0.06, .restarts: 0.34, .disk: 0.5, .theft: 0.3,
        .models: 0.3, .stream: 0.003,
    ]

    private func run(_ trial: Trial) async throws -> TrialResult {
        let result = try await TrialRunner(executable: Repository.lcp, scale: Self.scale[trial] ?? 1).run(trial)
        for figure in result.figures where !["_s", "_ms", "_percent", "_share"].contains(where: figure.name.hasSuffix) {
            #expect(figure.isKept, "\(trial.rawValue): \(figure)")
        }
        return result
    }

    /// Kills, pauses, restarts, repetitions, pushes: every frame has one answer, and the right one.
    @Test(arguments: [Trial.kill, .killAlone, .pause, .broker, .aggregator, .frozen, .repeats, .models, .disk, .theft])
    func everyFrameIsAnsweredOnce(trial: Trial) async throws {
        let result = try await run(trial)
        #expect(result["frames_lost"] == 0 && result["frames"] ?? 0 > 100)
        // With a spare at hand, a kill may cost not even one frame a branch.
        if trial == .killAlone || trial == .pause {
            #expect(result["frames_incomplete"] ?? 0 > 0, "the fault was not felt")
        }
    }

    @Test func aReplicaAddsItsShareAndLeavesWithoutALoss() async throws {
        let result = try await run(.replica)
        // How much it adds is a matter of time, for the full trial.
        #expect(result["frames_lost_by_leaving"] == 0 && result["gain_of_replicas_share"] ?? 0 > 0)
    }

    @Test("Devices that are unlike each other lose no frame, and compute few twice")
    func unequalDevices() async throws {
        let result = try await run(.unequal)
        #expect(result["frames_lost"] == 0 && result["computed_twice_percent"] ?? 100 < 25)
        let throttled = try await run(.throttled)
        #expect(throttled["frames_lost"] == 0 && throttled["frames_answered_twice"] == 0)
    }

    @Test("Many workers join, get another model and leave, and no frame is lost")
    func manyWorkers() async throws {
        let result = try await run(.many)
        #expect(result["frames_lost_16"] == 0 && result["workers_cut_off_16"] == 0)
    }

    @Test("Several pipelines share a broker, and no frame is lost")
    func manyPipelines() async throws {
        let result = try await run(.pipelines)
        #expect(result["frames_lost"] == 0 && result["pipelines"] == 6)
    }

    @Test("A broker that is killed again and again makes nobody believe that a worker hangs")
    func restarts() async throws {
        let result = try await run(.restarts)
        #expect(result["workers_cut_off"] == 0 && result["frames_lost"] == 0)
    }

    @Test func anOverloadShedsWholeFrames() async throws {
        let result = try await run(.overload)
        let (answered, incomplete) = (result["frames_answered"] ?? 0, result["frames_incomplete"] ?? .infinity)
        #expect(answered > 50 && answered < result["frames"] ?? 0)
        #expect(incomplete < 0.5 * answered)
    }

    @Test("A stranger's huge pictures cost nobody a frame") func hugePictures() async throws {
        let result = try await run(.pictures)
        #expect(result["frames_lost"] == 0 && result["pictures_answered"] ?? 0 > 0)
        // How many come too late is a matter of time, for the full trial.
        #expect(result["frames_incomplete"] ?? .infinity < 0.25 * (result["frames"] ?? 0))
    }

    @Test func strangersHarmNobody() async throws {
        let result = try await run(.hostile)
        #expect(result["processes_ended"] == 0 && result["frames_lost"] == 0)
        for figure in result.figures where figure.name.hasPrefix("memory_growth") { #expect(figure.value < 25) }
    }

    @Test func aLongStreamLeavesNothingBehind() async throws {
        let result = try await run(.stream)
        #expect(result["frames_lost"] == 0 && result["descriptors_more"] == 0 && result["retained_messages_more"] == 0)
        for figure in result.figures where figure.name.hasPrefix("memory_growth") { #expect(figure.value < 25) }
    }
}
