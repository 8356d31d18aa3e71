import Testing

@testable import LCPPipeline

@Suite struct PipelineOverviewTests {
    static func status(_ id: String, _ serves: [Int], state: RoleStatus.State = .ready, birth: String = "1")
        -> RoleStatus
    {
        var status = RoleStatus(state: state, role: .worker, id: id, birth: birth)
        (status.branches, status.serves) = (3, serves)
        return status
    }

    static func counters(_ frames: UInt64, _ uptime: Double) -> [UInt8] {
        RoleStatistics(uptime: uptime, frames: frames, dropped: [:]).json
    }

    @Test func whoIsThereAndWhatIsMissing() {
        var overview = PipelineOverview()
        #expect(overview.missingBranches == nil && overview.members.isEmpty)
        overview.add(Self.status("b", [2]))
        overview.add(Self.status("a", [0]))
        overview.add(Self.status("c", [], state: .lost))
        #expect(overview.members.map(\.status.id) == ["a", "b", "c"])
        #expect(overview.missingBranches == [1])
        overview.add(Self.status("c", [1], birth: "2"))
        #expect(overview.missingBranches == [])
    }

    @Test func ratesComeFromTwoCounters() {
        var overview = PipelineOverview()
        overview.add(Self.status("a", [0]))
        overview.add(statistics: Self.counters(100, 10), role: "worker", id: "a")
        #expect(overview.members[0].framesPerSecond == nil)
        overview.add(statistics: Self.counters(350, 15), role: "worker", id: "a")
        #expect(overview.members[0].framesPerSecond == 50)
        // One who began anew is not compared with itself before.
        overview.add(Self.status("a", [0], birth: "2"))
        overview.add(statistics: Self.counters(7, 5), role: "worker", id: "a")
        #expect(overview.members[0].framesPerSecond == nil)
        overview.add(statistics: Self.counters(1, 5), role: "worker", id: "stranger")
        #expect(overview.members.count == 1)
    }
}
