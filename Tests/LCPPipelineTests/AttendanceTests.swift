import LCPWire
import Platform
import Testing

@testable import LCPPipeline

@Suite struct AttendanceTests {
    static let start = ContinuousClock.now

    static func worker(
        _ id: String, serves: [Int], state: RoleStatus.State = .ready, answersProbes: Bool = true
    ) -> RoleStatus {
        var status = RoleStatus(state: state, role: .worker, id: id, birth: "b")
        status.serves = serves
        status.answersProbes = answersProbes
        return status
    }

    @Test func aBranchThatNobodyServesIsNotWaitedForLong() {
        var attendance = Attendance(branchCount: 3, now: Self.start)
        let later = Self.start + .seconds(5)
        #expect(attendance.awaited(now: later) == 0b111, "nobody has said anything yet")
        attendance.heard(Self.worker("a", serves: [0, 1]))
        #expect(attendance.awaited(now: later) == 0b011)
        attendance.came(2, now: later)
        #expect(attendance.awaited(now: later + .milliseconds(900)) == 0b111, "what was seen outweighs what is said")
        #expect(attendance.awaited(now: later + .milliseconds(1100)) == 0b011)
        attendance.heard(Self.worker("b", serves: [2]))
        #expect(attendance.awaited(now: later + .seconds(2)) == 0b111)
        attendance.heard(Self.worker("b", serves: [2], state: .lost))
        #expect(attendance.awaited(now: later + .seconds(2)) == 0b011)
        #expect(attendance.replicas == [1, 1, 0])
    }

    @Test func oneThatGivesNoSignOfLifeLosesItsConnection() {
        var attendance = Attendance(branchCount: 2, now: Self.start)
        for (id, branch) in [("a", 0), ("b", 1), ("c", 1)] { attendance.heard(Self.worker(id, serves: [branch])) }
        #expect(attendance.missed(0b10, now: Self.start) == [.probe("b"), .probe("c")])
        #expect(attendance.missed(0b10, now: Self.start + .milliseconds(10)) == [], "they have been asked")
        attendance.lives("c")
        #expect(attendance.nextDue == Self.start + Attendance.answerTime)
        #expect(attendance.due(now: Self.start + .milliseconds(999)) == [])
        #expect(attendance.due(now: Self.start + Attendance.answerTime) == [.fence("b")])
        #expect(attendance.nextDue == nil && attendance.due(now: Self.start + .seconds(2)) == [], "once is enough")
        // It is back, and misses again: it is not thrown out over and over.
        #expect(attendance.missed(0b10, now: Self.start + .seconds(3)) == [.probe("c")])
        #expect(attendance.missed(0b10, now: Self.start + .seconds(31)).contains(.probe("b")))
    }

    @Test func whoNeverSaidThatItAnswersIsNotAsked() {
        var attendance = Attendance(branchCount: 1, now: Self.start)
        attendance.heard(Self.worker("foreign", serves: [0], answersProbes: false))
        #expect(attendance.missed(1, now: Self.start) == [])
    }

    @Test func impossibleBranchesChangeNothing() {
        var attendance = Attendance(branchCount: 2, now: Self.start)
        attendance.heard(Self.worker("a", serves: [-1, 64, 1 << 40, 1]))
        #expect(attendance.awaited(now: Self.start + .seconds(9)) == 0b10)
        #expect(attendance.replicas == [0, 1])
        #expect(attendance.missed(0b01, now: Self.start) == [])
    }
}
