import LCPWire
import Testing

@testable import LCPPipeline

@Suite struct PresenceTests {
    @Test func aPipelineIsWholeWithAnAggregatorAndAllBranches() {
        var presence = Presence()
        var aggregator = RoleStatus(state: .ready, role: .aggregator, id: "a", birth: "1")
        aggregator.branches = 2
        _ = presence.update(AttendanceTests.worker("w0", serves: [0]))
        _ = presence.update(AttendanceTests.worker("w1", serves: [1]))
        #expect(!presence.isWhole)
        _ = presence.update(aggregator)
        #expect(presence.isWhole)
        presence.reconnected(now: AttendanceTests.start)
        #expect(!presence.isWhole)
        for id in [0, 1] { _ = presence.update(AttendanceTests.worker("w\(id)", serves: [id])) }
        _ = presence.update(aggregator)
        #expect(presence.isWhole)
        _ = presence.update(AttendanceTests.worker("w1", serves: [1], state: .lost))
        #expect(!presence.isWhole)
    }
}
