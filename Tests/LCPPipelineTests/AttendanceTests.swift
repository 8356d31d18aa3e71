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

    @Test("One that is left out serves nothing until it gives a sign of life")
    func leftOut() {
        var attendance = Attendance(branchCount: 2, now: Self.start)
        for (id, branch) in [("a", 0), ("b", 1)] { attendance.heard(Self.worker(id, serves: [branch])) }
        attendance.leaveOut("b")
        let later = Self.start + .seconds(5)
        #expect(attendance.workers.map(\.id) == ["a"] && attendance.replicas == [1, 0])
        #expect(attendance.awaited(now: later) == 0b01)
        let isBack = [attendance.lives("b"), attendance.lives("b")]
        #expect(isBack == [true, false] && attendance.replicas == [1, 1] && attendance.awaited(now: later) == 0b11)
        attendance.leaveOut("b")
        attendance.heard(Self.worker("b", serves: [1]))
        #expect(attendance.replicas == [1, 1], "who says something lives")
    }

    @Test("One that is known from what the broker keeps only is asked, and left out where it gives no sign of life")
    func suspected() {
        var attendance = Attendance(branchCount: 2, now: Self.start)
        let (ghost, quiet) = (Self.worker("g", serves: [0]), Self.worker("q", serves: [1]))
        #expect(attendance.suspect(ghost, now: Self.start) == [.probe("g")])
        #expect(attendance.suspect(quiet, now: Self.start) == [.probe("q")])
        for status in [ghost, quiet] { attendance.heard(status) }
        _ = attendance.lives("q")
        let due = Self.start + Attendance.firstAnswerTime
        #expect(attendance.nextDue == due && attendance.due(now: due - .milliseconds(1)) == [])
        #expect(attendance.due(now: due) == [.ignore("g")])
        attendance.leaveOut("g")
        #expect(attendance.replicas == [0, 1])
        #expect(attendance.suspect(Self.worker("old", serves: [0], answersProbes: false), now: due) == [])
        #expect(attendance.suspect(Self.worker("gone", serves: [0], state: .lost), now: due) == [])
    }

    @Test func oneThatGivesNoSignOfLifeLosesItsConnection() {
        var attendance = Attendance(branchCount: 2, now: Self.start)
        for (id, branch) in [("a", 0), ("b", 1), ("c", 1)] { attendance.heard(Self.worker(id, serves: [branch])) }
        #expect(attendance.missed(0b10, now: Self.start) == [.probe("b"), .probe("c")])
        #expect(attendance.missed(0b10, now: Self.start + .milliseconds(10)) == [], "they have been asked")
        _ = attendance.lives("c")
        #expect(attendance.nextDue == Self.start + Attendance.answerTime)
        #expect(attendance.due(now: Self.start + .milliseconds(999)) == [])
        #expect(attendance.due(now: Self.start + Attendance.answerTime) == [.fence("b")])
        #expect(attendance.nextDue == nil && attendance.due(now: Self.start + .seconds(2)) == [], "once is enough")
        // It is back, and misses again: it is not thrown out over and over.
        #expect(attendance.missed(0b10, now: Self.start + .seconds(3)) == [.probe("c")])
        #expect(attendance.missed(0b10, now: Self.start + .seconds(31)).contains(.probe("b")))
    }

    @Test("Where many are asked at once they are busy, and have ten seconds to answer")
    func manyAreBusy() {
        var attendance = Attendance(branchCount: 2, now: Self.start)
        for number in 0..<12 { attendance.heard(Self.worker("w\(number)", serves: [number % 6 == 0 ? 0 : 1])) }
        // Two of branch 0 may hang; ten more cannot.
        #expect(attendance.missed(0b01, now: Self.start).count == 2)
        #expect(attendance.nextDue == Self.start + Attendance.answerTime)
        #expect(attendance.missed(0b10, now: Self.start).count == 10)
        #expect(attendance.nextDue == Self.start + Attendance.busyAnswerTime)
        #expect(attendance.due(now: Self.start + .seconds(9)) == [])
        for number in 0..<12 where number != 5 { _ = attendance.lives("w\(number)") }
        #expect(attendance.due(now: Self.start + .seconds(10)) == [.fence("w5")])
    }

    @Test("After a restart of the broker only workers that are back are asked") func backAfterARestart() {
        var attendance = Attendance(branchCount: 1, now: Self.start)
        for id in ["a", "b"] { attendance.heard(Self.worker(id, serves: [0])) }
        attendance.reconnected(since: nil, now: Self.start)
        #expect(attendance.missed(1, now: Self.start) == [])
        attendance.heard(Self.worker("b", serves: [0]))
        #expect(attendance.missed(1, now: Self.start) == [.probe("b")])
    }

    @Test func whoNeverSaidThatItAnswersIsNotAsked() {
        var attendance = Attendance(branchCount: 1, now: Self.start)
        attendance.heard(Self.worker("foreign", serves: [0], answersProbes: false))
        #expect(attendance.missed(1, now: Self.start) == [])
    }

    @Test("A branch that the model does not have is not waited for, though a worker serves it")
    func branchesOfAnotherModel() {
        var attendance = Attendance(branchCount: 2, now: Self.start)
        attendance.heard(Self.worker("a", serves: [0, 5]))
        #expect(attendance.awaited(now: Self.start + .seconds(9)) == 0b01)
    }

    @Test("Where the workers that are there serve nothing, all branches are waited for")
    func nothingServed() {
        var attendance = Attendance(branchCount: 2, now: Self.start)
        attendance.heard(Self.worker("a", serves: []))
        let later = Self.start + .seconds(9)
        #expect(attendance.awaited(now: later) == 0b11)
        attendance.came(0, now: later)
        #expect(attendance.awaited(now: later) == 0b01)
        // Nobody is there who could say so.
        attendance.heard(Self.worker("a", serves: [], state: .lost))
        #expect(attendance.awaited(now: later) == 0b11)
    }

    @Test("A worker that is about to start is not counted on, and not asked for a sign of life")
    func starting() {
        var attendance = Attendance(branchCount: 2, now: Self.start)
        attendance.heard(Self.worker("a", serves: [0]))
        attendance.heard(Self.worker("b", serves: [1], state: .starting))
        #expect(attendance.awaited(now: Self.start + .seconds(9)) == 0b01 && attendance.replicas == [1, 0])
        #expect(attendance.missed(0b10, now: Self.start) == [])
    }

    @Test("A model with more branches is waited for in all of them at first")
    func moreBranches() {
        var attendance = Attendance(branchCount: 1, now: Self.start)
        attendance.heard(Self.worker("a", serves: [0]))
        attendance.branchCount = 3
        #expect(attendance.awaited(now: Self.start) == 0b111 && attendance.replicas == [1, 0, 0])
        attendance.came(2, now: Self.start + .seconds(2))
        #expect(attendance.awaited(now: Self.start + .seconds(2)) == 0b101)
    }

    @Test("Who does not come back after a reconnect is not counted on, and who does is asked anew")
    func reconnects() {
        var attendance = Attendance(branchCount: 2, now: Self.start)
        for (id, branch) in [("a", 0), ("b", 1)] { attendance.heard(Self.worker(id, serves: [branch])) }
        #expect(attendance.missed(0b11, now: Self.start) == [.probe("a"), .probe("b")])
        attendance.reconnected(since: nil, now: Self.start)
        #expect(attendance.nextDue == nil, "what they answered may be lost")
        attendance.heard(Self.worker("a", serves: [0]))
        #expect(attendance.missed(0b01, now: Self.start) == [.probe("a")])
        let later = Self.start + Presence.grace
        #expect(attendance.awaited(now: later) == 0b11)
        attendance.expire(now: later)
        #expect(attendance.awaited(now: later) == 0b01)
    }

    @Test("A worker that is gone before it gave a sign of life is left alone")
    func goneBeforeItsAnswer() {
        var attendance = Attendance(branchCount: 1, now: Self.start)
        attendance.heard(Self.worker("a", serves: [0]))
        _ = attendance.missed(1, now: Self.start)
        attendance.heard(Self.worker("a", serves: [0], state: .lost))
        #expect(attendance.due(now: Self.start + Attendance.answerTime) == [] && attendance.nextDue == nil)
    }

    @Test(
        "Who lost its connection and is back is not asked for half a minute, and forgotten after that where it stays away"
    )
    func backAfterLosingItsConnection() throws {
        var attendance = Attendance(branchCount: 1, now: Self.start)
        attendance.heard(Self.worker("a", serves: [0]))
        _ = attendance.missed(1, now: Self.start)
        #expect(attendance.due(now: Self.start + Attendance.answerTime) == [.fence("a")])
        attendance.heard(Self.worker("a", serves: [0], state: .lost))
        #expect(attendance.due(now: Self.start + .seconds(2)) == [])
        attendance.heard(Self.worker("a", serves: [0]))
        #expect(attendance.missed(1, now: Self.start + .seconds(3)) == [])
        attendance.heard(Self.worker("a", serves: [0], state: .lost))
        _ = attendance.due(now: Self.start + Attendance.fenceInterval)
        #expect(try entryCount("probes", of: attendance) == 0)
    }

    @Test func impossibleBranchesChangeNothing() {
        var attendance = Attendance(branchCount: 2, now: Self.start)
        attendance.heard(Self.worker("a", serves: [-1, 64, 1 << 40, 1]))
        #expect(attendance.awaited(now: Self.start + .seconds(9)) == 0b10)
        #expect(attendance.replicas == [0, 1])
        #expect(attendance.missed(0b01, now: Self.start) == [])
    }
}
