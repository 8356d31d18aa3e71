import LCPWire
import Testing

@testable import LCPPipeline

@Suite struct ModelRolloutTests {
    typealias Stand = RolloutStand

    // MARK: The first model

    @Test("A worker fetches the model that the pipeline has, takes its branches and says so")
    func joins() {
        var stand = Stand()
        let offer = Stand.offer("A", 2)
        let version = Stand.version("A", 2)
        #expect(stand.handle(.found(offer)) == [.log("getting the model A"), .fetch(offer, branches: [])])
        #expect(stand.machine.state == .joining(offer))
        #expect(
            stand.handle(.fetched(offer, version)) == [
                stand.announcement("A", 2, claims: [0, 1], serves: [], isReady: false, computeTime: nil),
                .start(stand.id(0, 2), versions: [version]), .start(stand.id(1, 2), versions: [version]),
            ])
        #expect(
            stand.handle(.started(stand.id(0, 2), versions: [version.hash], computeTime: 3)) == [
                stand.announcement("A", 2, claims: [0, 1], serves: [0], computeTime: 3),
                .log("ready: branch 0 on inputs"),
            ])
        #expect(
            stand.handle(.started(stand.id(1, 2), versions: [version.hash], computeTime: 2)) == [
                stand.announcement("A", 2, claims: [0, 1], serves: [0, 1], computeTime: 3),
                .log("ready: branch 1 on inputs"),
            ])
        #expect(stand.wait() == [] && stand.machine.nextDue == nil, "nothing is waited for")
    }

    @Test("A worker with branches of its own takes those, and ends where the model has none of that number")
    func pinned() {
        var stand = Stand(pinned: [1])
        let offer = Stand.offer("A", 2)
        #expect(stand.handle(.found(offer)).last == .fetch(offer, branches: [1]))
        #expect(
            stand.handle(.fetched(offer, Stand.version("A", 2))).last
                == .start(stand.id(1, 2), versions: [Stand.version("A", 2)]))
        var wrong = Stand(pinned: [0, 2])
        #expect(
            wrong.handle(.given(Stand.version("A", 2)))
                == [.fail(Stand.failure("A has branches 0 to 1, there is no branch 2"))])
        #expect(wrong.machine.state == .ended)
        #expect(Rollout.refusal(of: Stand.version("A", 2), pinned: [-1]) != nil)
        #expect(Rollout.refusal(of: Stand.version("A", 2), pinned: [0, 1]) == nil)
    }

    @Test("Where the first model cannot be fetched the worker ends, or gets the one that was pushed meanwhile")
    func firstFails() {
        var stand = Stand()
        _ = stand.handle(.found(Stand.offer("A", 2)))
        let failure = Stand.failure("gone")
        #expect(stand.handle(.fetchFailed(Stand.offer("X", 2), failure)) == [], "that is not awaited")
        #expect(stand.handle(.offered(Stand.offer("B", 2))) == [] && stand.machine.nextDue == nil)
        #expect(
            stand.handle(.fetchFailed(Stand.offer("A", 2), failure))
                == [.log("getting the model B"), .fetch(Stand.offer("B", 2), branches: [])])
        #expect(stand.handle(.fetchFailed(Stand.offer("B", 2), failure)) == [.fail(failure)])
        #expect(stand.handle(.found(Stand.offer("C", 2))) == [], "it has ended")
    }

    @Test("A model that is pushed while the first one is fetched comes after it")
    func pushedWhileJoining() {
        var stand = Stand()
        _ = stand.handle(.offered(Stand.offer("A", 1)))
        _ = stand.handle(.found(Stand.offer("A", 1)))
        _ = stand.handle(.offered(Stand.offer("B", 1)))
        let actions = stand.handle(.fetched(Stand.offer("A", 1), Stand.version("A", 1)))
        #expect(
            actions.suffix(2) == [
                .log("the model B was pushed: getting it"), .fetch(Stand.offer("B", 1), branches: [0]),
            ])
        // What was found is not fetched a second time.
        var once = Stand()
        _ = once.handle(.offered(Stand.offer("A", 1)))
        _ = once.handle(.found(Stand.offer("A", 1)))
        _ = once.handle(.fetched(Stand.offer("A", 1), Stand.version("A", 1)))
        #expect(once.machine.state == .running(once.machine.current!))
    }

    @Test("A model that was pushed and found, and cannot be fetched, is not fetched a second time")
    func foundAndOffered() {
        var stand = Stand()
        _ = stand.handle(.offered(Stand.offer("A", 1)))
        _ = stand.handle(.found(Stand.offer("A", 1)))
        let failure = Stand.failure("gone")
        #expect(stand.handle(.fetchFailed(Stand.offer("A", 1), failure)) == [.fail(failure)])
    }

    @Test("A worker that joins does not begin with another model than the one that it waits for")
    func fetchesAnotherWhileJoining() {
        var stand = Stand()
        _ = stand.handle(.found(Stand.offer("A", 1)))
        _ = stand.handle(.offered(Stand.offer("B", 2)))
        _ = stand.handle(.fetchFailed(Stand.offer("A", 1), Stand.failure("gone")))
        #expect(stand.handle(.fetched(Stand.offer("A", 1), Stand.version("A", 1))) == [])
        #expect(stand.machine.state == .joining(Stand.offer("B", 2)))
    }

    // MARK: As many branches

    @Test("A model with as many branches is computed beside the old one until everybody has it and half a second more")
    func overlaps() {
        var stand = Stand.running("A", 2)
        _ = stand.hear("agg", model: "A", 2, serves: [], role: .aggregator)
        _ = stand.hear("v", model: "A", 2, serves: [])
        stand.settle()
        let (a, b) = (Stand.hash("A"), Stand.version("B", 2))
        #expect(
            stand.handle(.offered(b.offer!)) == [
                .log("the model B was pushed: getting it"), .fetch(b.offer!, branches: [0, 1]),
            ])
        let begin = stand.now
        #expect(
            stand.handle(.fetched(b.offer!, b)) == [.add(b, to: stand.id(0, 2)), .add(b, to: stand.id(1, 2))])
        #expect(stand.handle(.added(b.hash, to: stand.id(0, 2))) == [])
        #expect(stand.wait(Rollout.settling) == [], "one branch has not got it yet")
        #expect(
            stand.handle(.added(b.hash, to: stand.id(1, 2)))
                == [stand.announcement("A", 2, models: ["A", "B"], claims: [0, 1], serves: [0, 1])])
        #expect(stand.wait(Rollout.settling) == [])
        // The aggregator is waited for; a worker without branches is not.
        #expect(stand.wait(.seconds(1)) == [] && stand.machine.nextDue == begin + Rollout.longestChange)
        _ = stand.hear("agg", model: "B", 2, serves: [], models: ["A", "B"], role: .aggregator)
        #expect(stand.wait(Rollout.settling) == [])
        #expect(stand.machine.nextDue == stand.now + Rollout.overlap)
        #expect(stand.wait(Rollout.overlap - .milliseconds(1)) == [])
        let only: Set = [b.hash]
        #expect(
            stand.wait() == [
                .keep(only, in: stand.id(0, 2)), .keep(only, in: stand.id(1, 2)),
                stand.announcement("B", 2, claims: [0, 1], serves: [0, 1]), .log("runs B now"),
            ])
        #expect(stand.machine.current?.branches == [0: .serving(only), 1: .serving(only)])
        #expect(a != b.hash && stand.wait() == [] && stand.machine.nextDue == nil)
    }

    @Test("The other workers that have branches are waited for, too")
    func waitsForWorkers() {
        var stand = Stand.running("A", 2)
        _ = stand.hear("v", model: "A", 2, serves: [1])
        stand.beginOverlap("B", 2)
        #expect(stand.machine.state.isWaiting)
        _ = stand.hear("v", model: "A", 2, serves: [1], models: ["A", "B"])
        stand.settle()
        #expect(!stand.machine.state.isWaiting)
        #expect(stand.wait().contains(.log("runs B now")))
    }

    @Test("Whoever does not become ready is waited for no longer than 30 s")
    func waitsNotForEver() {
        var stand = Stand.running("A", 1)
        _ = stand.hear("v", model: "A", 1, serves: [0])
        stand.beginOverlap("B", 1)
        let begin = stand.now - Rollout.settling
        #expect(stand.wait(.seconds(29)) == [] && stand.machine.state.isWaiting)
        #expect(stand.wait() == [] && stand.now == begin + Rollout.longestChange)
        #expect(stand.wait().contains(.log("runs B now")))
        #expect(stand.now == begin + Rollout.longestChange + Rollout.overlap)
    }

    @Test("A branch that is taken over in between gets both versions, and is waited for")
    func takenOverInBetween() {
        var stand = Stand.running("A", 2)
        _ = stand.hear("v", model: "A", 2, serves: [1])
        stand.settle()
        _ = stand.handle(.stopped(stand.id(1, 2)))
        stand.settle()
        #expect(stand.machine.current?.serves == [0])
        stand.beginOverlap("B", 2)
        _ = stand.lose("v")
        let both = [Stand.version("A", 2), Stand.version("B", 2)]
        #expect(stand.wait(Rollout.settling).contains(.start(stand.id(1, 2), versions: both)))
        // It comes with the old version only, as if it had been started before.
        #expect(
            stand.handle(.started(stand.id(1, 2), versions: [Stand.hash("A")], computeTime: 1)).last
                == .add(both[1], to: stand.id(1, 2)))
        for _ in 0..<5 { #expect(!stand.wait().contains(.log("runs B now"))) }
        _ = stand.handle(.added(Stand.hash("B"), to: stand.id(1, 2)))
        #expect(stand.wait(for: "runs B now").contains(.keep([Stand.hash("B")], in: stand.id(1, 2))))
    }

    @Test("A branch that is about to start is waited for, also beyond 30 s")
    func startsInBetween() {
        var stand = Stand()
        _ = stand.handle(.given(Stand.version("A", 1)))
        stand.beginOverlap("B", 1)
        for _ in 0..<5 { #expect(stand.wait() == []) }
        #expect(stand.machine.state.isHandingOver)
        let id = stand.id(0, 1)
        let both = [Stand.hash("A"), Stand.hash("B")]
        #expect(
            stand.handle(.started(id, versions: Set(both), computeTime: 1)).first
                == stand.announcement("A", 1, models: ["A", "B"], claims: [0], serves: [0]))
        #expect(stand.wait(for: "runs B now").first == .keep([both[1]], in: id))
    }

    @Test("A branch that starts in a version that was given up forgets that")
    func startsInAnotherVersion() {
        var stand = Stand()
        _ = stand.handle(.given(Stand.version("A", 1)))
        stand.beginOverlap("B", 1)
        _ = stand.handle(.offered(Stand.offer("C", 1)))
        _ = stand.wait(for: "the model B is not used: C was pushed after it")
        let id = stand.id(0, 1)
        let versions: Set = [Stand.hash("A"), Stand.hash("B")]
        #expect(
            stand.handle(.started(id, versions: versions, computeTime: 1)).last == .keep([Stand.hash("A")], in: id))
    }

    @Test("A version that comes to a branch when it is not wanted any more is forgotten")
    func addedTooLate() {
        var stand = Stand.running("A", 1)
        stand.beginOverlap("B", 1, isPrepared: false)
        _ = stand.handle(.offered(Stand.offer("C", 1)))
        _ = stand.wait(for: "the model B is not used: C was pushed after it")
        let id = stand.id(0, 1)
        #expect(stand.handle(.added(Stand.hash("B"), to: id)) == [.keep([Stand.hash("A")], in: id)])
        #expect(stand.handle(.addFailed(Stand.hash("B"), Stand.failure("no"))) == [])
    }

    // MARK: Another number of branches

    @Test(
        "A model with another number of branches runs beside the old one until all of it is served, and half a second more"
    )
    func repartitions() {
        var stand = Stand.running("A", 2)
        let b = Stand.version("B", 1)
        #expect(stand.handle(.offered(b.offer!)).last == .fetch(b.offer!, branches: []))
        #expect(
            stand.handle(.fetched(b.offer!, b)) == [
                stand.announcement(
                    "A", 2, claims: [0, 1], serves: [0, 1], next: Stand.next("B", 1, claims: [0], serves: [])),
                .start(stand.id(0, 1), versions: [b]),
            ])
        #expect(stand.wait(.seconds(1)) == [] && stand.machine.state.isWaiting)
        #expect(
            stand.handle(.started(stand.id(0, 1), versions: [b.hash], computeTime: 1)) == [
                stand.announcement(
                    "A", 2, claims: [0, 1], serves: [0, 1], next: Stand.next("B", 1, claims: [0], serves: [0])),
                .log("ready: branch 0 on inputs"),
            ])
        stand.settle()
        #expect(stand.wait(Rollout.overlap - .milliseconds(1)) == [])
        #expect(
            stand.wait() == [
                stand.announcement("B", 1, claims: [0], serves: [0]), .stop(stand.id(0, 2)), .stop(stand.id(1, 2)),
            ])
        // It answers what it has in the old one, and takes the next model after that.
        #expect(stand.handle(.offered(Stand.offer("C", 2))) == [])
        #expect(stand.handle(.stopped(stand.id(1, 2))) == [])
        #expect(
            stand.handle(.stopped(stand.id(0, 2))) == [
                .log("runs B now"), .log("the model C was pushed: getting it"),
                .fetch(Stand.offer("C", 2), branches: []),
            ])
    }

    @Test("The new branches are dealt out among all, and everybody is waited for")
    func repartitionsAmongOthers() {
        var stand = Stand.running("A", 1)
        _ = stand.hear("v", model: "A", 1, serves: [])
        _ = stand.hear("agg", model: "A", 1, serves: [], role: .aggregator)
        stand.beginRepartition("B", 2, started: [1])
        #expect(stand.machine.share(at: .next)?.claims == [1], "v is expected to take the other one")
        #expect(stand.takeExpected().contains(.start(stand.id(0, 2), versions: [Stand.version("B", 2)])))
        stand.start(0, 2, ["B"])
        #expect(stand.machine.state.isWaiting, "v has nothing to do with it yet")
        func hear(_ claims: [Int], _ serves: [Int]) -> [Rollout.Action] {
            stand.hear("v", model: "A", 1, serves: [], next: Stand.next("B", 2, claims: claims, serves: serves))
        }
        _ = hear([1], [])
        #expect(stand.wait(Rollout.settling) == [] && stand.machine.state.isWaiting, "the aggregator does not join it")
        _ = hear([1], [1])
        #expect(stand.wait(Rollout.settling).last == .stop(stand.id(1, 2)))
        _ = stand.hear("agg", model: "B", 2, serves: [], models: ["A", "B"], role: .aggregator)
        stand.settle()
        #expect(stand.machine.state.isHandingOver)
    }

    @Test("A worker that has not begun with the new model is waited for, though all of its branches are served")
    func repartitionWaitsForWorkers() {
        var stand = Stand.running("A", 1)
        _ = stand.hear("v", model: "A", 1, serves: [])
        stand.beginRepartition("B", 2, started: [1])
        _ = stand.takeExpected()
        stand.start(0, 2, ["B"])
        #expect(stand.machine.share(at: .next)?.serves == [0, 1] && stand.machine.state.isWaiting)
        _ = stand.hear("v", model: "A", 1, serves: [], next: Stand.next("B", 2, claims: [], serves: []))
        stand.settle()
        #expect(stand.machine.state.isHandingOver)
    }

    @Test("A branch of the new model that nobody serves is waited for")
    func repartitionWaitsForBranches() {
        var stand = Stand.running("A", 1)
        _ = stand.hear("v", model: "A", 1, serves: [])
        stand.beginRepartition("B", 2, started: [])
        _ = stand.hear("v", model: "A", 1, serves: [], next: Stand.next("B", 2, claims: [0, 1], serves: [0, 1]))
        stand.settle()
        #expect(stand.machine.state.isWaiting, "its own branches are not ready")
        stand.start(0, 2, ["B"])
        stand.start(1, 2, ["B"])
        _ = stand.hear("v", model: "A", 1, serves: [], next: Stand.next("B", 2, claims: [0], serves: [0]))
        stand.settle()
        #expect(stand.machine.state.isHandingOver)

        var other = Stand.running("A", 1, pinned: [0])
        other.beginRepartition("B", 2, started: [0])
        #expect(other.machine.state.isWaiting, "nobody has branch 1")
        _ = other.takeExpected()
        #expect(other.wait() == [] && other.machine.state.isHandingOver, "for no longer than 30 s")
    }

    @Test("Nobody steps in for the model before while another one is dealt out")
    func repartitionDealsTheNextOnly() {
        var stand = Stand.running("A", 2)
        _ = stand.hear("v", model: "A", 2, serves: [1])
        stand.settle()
        _ = stand.handle(.stopped(stand.id(1, 2)))
        stand.settle()
        stand.beginRepartition("B", 3, started: [0, 1, 2])
        #expect(stand.lose("v") == [])
        stand.settle()
        #expect(stand.machine.current?.claimed == [0] && stand.machine.share(at: .next)?.claimed == [0, 1, 2])
    }

    @Test("A branch whose model was replaced before it started is stopped")
    func startsTooLate() {
        var stand = Stand()
        _ = stand.handle(.given(Stand.version("A", 2)))
        stand.start(0, 2, ["A"])
        stand.beginRepartition("B", 1, started: [0])
        while stand.machine.state.progress != nil { _ = stand.wait() }
        #expect(stand.handle(.stopped(stand.id(0, 2))) == [], "branch 1 is still being started")
        #expect(
            stand.handle(.started(stand.id(1, 2), versions: [Stand.hash("A")], computeTime: 1))
                == [.stop(stand.id(1, 2))])
        #expect(stand.handle(.stopped(stand.id(1, 2))) == [.log("runs B now")])
    }

    @Test("A branch that started too late and then fails is waited for until it has stopped")
    func failsAfterStartingTooLate() {
        var stand = Stand()
        _ = stand.handle(.given(Stand.version("A", 2)))
        stand.start(0, 2, ["A"])
        stand.beginRepartition("B", 1, started: [0])
        while stand.machine.state.progress != nil { _ = stand.wait() }
        _ = stand.handle(.stopped(stand.id(0, 2)))
        #expect(
            stand.handle(.started(stand.id(1, 2), versions: [Stand.hash("A")], computeTime: 1))
                == [.stop(stand.id(1, 2))])
        #expect(stand.handle(.startFailed(stand.id(1, 2), Stand.failure("refused"))) == [], "it is being stopped")
        #expect(stand.handle(.stopped(stand.id(1, 2))) == [.log("runs B now")])
    }

    @Test("A branch of the model before that cannot be started ends nothing any more")
    func startFailsTooLate() {
        var stand = Stand()
        _ = stand.handle(.given(Stand.version("A", 2)))
        stand.start(0, 2, ["A"])
        stand.beginRepartition("B", 1, started: [0])
        while stand.machine.state.progress != nil { _ = stand.wait() }
        #expect(stand.handle(.startFailed(stand.id(0, 2), Stand.failure("refused"))) == [], "it is being stopped")
        _ = stand.handle(.stopped(stand.id(0, 2)))
        #expect(stand.handle(.startFailed(stand.id(1, 2), Stand.failure("no file"))) == [.log("runs B now")])
    }
}
