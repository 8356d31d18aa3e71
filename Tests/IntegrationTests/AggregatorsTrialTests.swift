import ResilienceTrials
import Testing

/// The trial of several aggregators, shortened. It waits for most of its time, so that it runs beside the others.
@Suite struct AggregatorsTrialTests {
    @Test("Of three aggregators one dies, one hangs and one ends, and every frame is answered once")
    func aggregators() async throws {
        let result = try await TrialRunner(executable: Repository.lcp, scale: 0.5).run(.aggregators)
        for name in ["frames_lost", "frames_answered_twice", "predictions_changed", "sensors_failed"] {
            #expect(result[name] == 0, "\(name)")
        }
        #expect(result["frames"] == 2000)
    }
}
