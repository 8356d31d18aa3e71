import LCPWire
import Testing

@testable import LCPPipeline

/// Which branches a worker takes and gives up.
@Suite struct ModelShareTests {
    typealias Stand = RolloutStand

    @Test("Changes that come together are answered together, 20 ms after the first")
    func settles() {
        var stand = Stand.running("A", 4)
        let begin = stand.now
        #expect(stand.hear("v", model: "A", 4, serves: []) == [] && stand.machine.nextDue == begin + Rollout.settling)
        stand.now += .milliseconds(10)
        #expect(stand.hear("u", model: "A", 4, serves: []) == [] && stand.machine.nextDue == begin + Rollout.settling)
        #expect(stand.handle(.time) == [], "not yet")
        #expect(stand.wait() == [] && stand.machine.nextDue == nil)
    }

    @Test("A time that comes before the moment of peace is over deals out nothing")
    func settlesInTime() {
        var stand = Stand.running("A", 2)
        _ = stand.hear("v", model: "A", 2, serves: [1])
        let due = stand.now + Rollout.settling
        stand.now = due - .milliseconds(1)
        #expect(stand.handle(.time) == [] && stand.machine.nextDue == due)
        stand.now = due
        #expect(stand.handle(.time).last == .stop(stand.id(1, 2)))
    }

    @Test("A branch is given up only when another worker serves it, and that is said at once")
    func givesUp() {
        var stand = Stand.running("A", 2)
        _ = stand.hear("v", model: "A", 2, serves: [])
        #expect(stand.wait() == [], "v has none yet")
        _ = stand.hear("v", model: "A", 2, serves: [1])
        #expect(
            stand.wait() == [
                stand.announcement("A", 2, claims: [0], serves: [0]),
                .log("another worker has branch 1: giving it up"), .stop(stand.id(1, 2)),
            ])
        _ = stand.hear("v", model: "A", 2, serves: [1], models: ["A", "B"])
        #expect(stand.wait() == [], "it is being given up already")
        #expect(stand.handle(.stopped(stand.id(1, 2))) == [])
        _ = stand.lose("v")
        #expect(
            stand.wait() == [
                stand.announcement("A", 2, claims: [0, 1], serves: [0]),
                .start(stand.id(1, 2), versions: [Stand.version("A", 2)]),
            ])
    }

    @Test("Of two that have the same branch the one whose name comes later gives it up, and not both at once")
    func givesUpInTurn() {
        var stand = Stand.running("A", 2)
        _ = stand.hear("x", model: "A", 2, serves: [1])
        #expect(stand.wait() == [stand.announcement("A", 2, claims: [0], serves: [0, 1])], "that is said first")
        #expect(stand.machine.nextDue == stand.now + ModelShare.patience)
        // The other one goes, too.
        _ = stand.hear("x", model: "A", 2, serves: [])
        #expect(stand.wait() == [stand.announcement("A", 2, claims: [0, 1], serves: [0, 1])])
        #expect(stand.machine.nextDue == nil)
        _ = stand.hear("x", model: "A", 2, serves: [1])
        let begin = stand.now + Rollout.settling
        #expect(!stand.wait().isEmpty && stand.now == begin)
        _ = stand.hear("x", model: "A", 2, serves: [1], models: ["A", "B"])
        #expect(stand.wait() == [] && stand.machine.nextDue == begin + ModelShare.patience, "that does not put it off")
        #expect(stand.wait().last == .stop(stand.id(1, 2)) && stand.machine.nextDue == nil)
        // One that is about to give the branch up is not left alone with it, whatever its name.
        let share = ModelShare(Stand.version("A", 2))
        var leaving = RoleStatus(state: .ready, role: .worker, id: "a", birth: "b")
        (leaving.modelHash, leaving.serves, leaving.claims) = (Stand.hash("A"), [0, 1], [0])
        #expect(share.keepers(of: 1, among: [leaving], isCurrent: true) == [])
        #expect(share.keepers(of: 0, among: [leaving], isCurrent: true) == [leaving])
    }

    @Test("Versions with as many branches are dealt out as one model; others are another matter")
    func alike() {
        let share = ModelShare(Stand.version("A", 2))
        var stand = Stand()
        func part(_ isCurrent: Bool) -> [Int]? {
            stand.presence.all(.worker).first.flatMap { share.part(of: $0, isCurrent: isCurrent)?.claims }
        }
        _ = stand.hear("v", model: "B", 2, serves: [1])
        #expect(part(true) == [1] && part(false) == nil)
        _ = stand.hear("v", model: "A", 2, serves: [1])
        #expect(part(true) == [1] && part(false) == [1])
        _ = stand.hear("v", model: "B", 3, serves: [1])
        #expect(part(true) == nil && part(false) == nil)
        _ = stand.hear("v", model: "B", 3, serves: [1], next: Stand.next("A", 2, claims: [0], serves: []))
        #expect(part(true) == [0] && part(false) == [0])
        // One that says no more than its branch, as a program of another kind may.
        var status = RoleStatus(state: .ready, role: .worker, id: "x", birth: "b")
        #expect(share.part(of: status, isCurrent: true)?.claims == [])
        status.branch = 1
        #expect(share.part(of: status, isCurrent: true)?.claims == [1])
        #expect(share.part(of: status, isCurrent: true)?.serves == [1])
    }

    @Test("A worker whose branches were given on its command line is not counted on for others")
    func pinnedOthers() {
        var stand = Stand()
        _ = stand.hear("v", model: "A", 2, serves: [1], pinned: true)
        let actions = stand.handle(.given(Stand.version("A", 2)))
        #expect(actions.last == .start(stand.id(0, 2), versions: [Stand.version("A", 2)]))
        #expect(stand.machine.current?.claims == [0])
        // It stays where it is, whatever the others have.
        var pinned = Stand.running("A", 2, pinned: [0, 1])
        _ = pinned.hear("v", model: "A", 2, serves: [0, 1])
        #expect(pinned.wait() == [])
        // One that does not say whether it would move is taken for one that does not.
        var silent = Stand()
        _ = silent.hear("v", model: "A", 2, serves: [0, 1], pinned: nil)
        _ = silent.handle(.given(Stand.version("A", 2)))
        #expect(silent.machine.current?.claims == [0], "were v to move, it would keep 0 and leave 1")
    }

    @Test("A worker that is only about to serve leaves its branch to one that serves it, whatever their names")
    func readyOnesKeep() {
        var share = ModelShare(Stand.version("A", 2))
        share.branches[0] = .serving([Stand.hash("A")])
        let me = ModelShare.Me(id: "w", isReady: true)
        var other = RoleStatus(state: .starting, role: .worker, id: "a", birth: "b")
        (other.modelHash, other.claims, other.serves, other.pinned) = (Stand.hash("A"), [0], [], false)
        #expect(share.goal(of: me, among: [other], isCurrent: true) == [0])
        other.state = .ready
        #expect(
            share.goal(of: me, among: [other], isCurrent: true) == [1], "of two that are ready the first name keeps")
    }
}
