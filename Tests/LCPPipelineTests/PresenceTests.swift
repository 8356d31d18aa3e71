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
        presence.reconnected(since: nil, now: AttendanceTests.start)
        #expect(!presence.isWhole)
        for id in [0, 1] { _ = presence.update(AttendanceTests.worker("w\(id)", serves: [id])) }
        _ = presence.update(aggregator)
        #expect(presence.isWhole)
        _ = presence.update(AttendanceTests.worker("w1", serves: [1], state: .lost))
        #expect(!presence.isWhole)
    }

    @Test("Who was heard since the connection is back need not say so again, though it is told later that it is back")
    func heardSinceTheReconnect() {
        var presence = Presence()
        let start = AttendanceTests.start
        var aggregator = RoleStatus(state: .ready, role: .aggregator, id: "a", birth: "1")
        aggregator.branches = 1
        _ = presence.update(aggregator, now: start)
        _ = presence.update(AttendanceTests.worker("gone", serves: [0]), now: start)
        let connected = start + .seconds(1)
        _ = presence.update(aggregator, now: connected)
        _ = presence.update(AttendanceTests.worker("w", serves: [0]), now: connected + .milliseconds(1))
        presence.reconnected(since: connected, now: connected + .milliseconds(2))
        #expect(presence.isWhole)
        let isChanged = presence.expire(now: connected + .seconds(10))
        #expect(isChanged)
        #expect(presence.all(.worker).map(\.id) == ["w"])
    }

    @Test("Endless names do not fill the memory, and those who are known are still heard")
    func bounded() {
        var presence = Presence()
        for index in 0..<2 * Presence.maximumEntries {
            _ = presence.update(AttendanceTests.worker("w\(index)", serves: [0]))
        }
        #expect(presence.all(.worker).count == Presence.maximumEntries)
        let changes = [
            presence.update(AttendanceTests.worker("w0", serves: [1])),
            presence.update(AttendanceTests.worker("w0", serves: [1], state: .lost)),
            presence.update(AttendanceTests.worker("new", serves: [0])),
        ]
        // The last one takes the room that the second leaves.
        #expect(changes == [true, true, true])
    }

    @Test("The last will of an earlier start is ignored")
    func staleWill() {
        var presence = Presence()
        _ = presence.update(AttendanceTests.worker("w", serves: [0]))
        var will = AttendanceTests.worker("w", serves: [], state: .lost)
        will.birth = "earlier"
        let isChanged = presence.update(will)
        #expect(!isChanged)
        #expect(presence.all(.worker).count == 1)
    }
}
