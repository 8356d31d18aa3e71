import LCPWire
import Testing

@testable import LCPPipeline

/// How a change ends that is not completed, and how the worker does.
@Suite struct ModelRolloutEndingTests {
    typealias Stand = RolloutStand

    // MARK: Superseded

    @Test("A model that is fetched gives way to a newer one")
    func supersededWhileFetching() {
        var stand = Stand.running("A", 1)
        let (b, c) = (Stand.offer("B", 2), Stand.offer("C", 1))
        _ = stand.handle(.offered(b))
        #expect(stand.handle(.offered(c)) == [])
        #expect(
            stand.wait() == [
                .abandonFetch, .log("the model B is not used: C was pushed after it"),
                .log("the model C was pushed: getting it"), .fetch(c, branches: [0]),
            ])
        #expect(stand.handle(.fetched(b, Stand.version("B", 2))) == [], "that is not wanted any more")
        #expect(stand.handle(.fetchFailed(b, Stand.failure("gone"))) == [])
        #expect(stand.machine.state == .fetching(c, beside: stand.machine.current!))
    }

    @Test("A model that is computed beside the old one gives way to a newer one", arguments: [false, true])
    func supersededWhileOverlapping(isHandingOver: Bool) {
        var stand = Stand.running("A", 1)
        if !isHandingOver { _ = stand.hear("v", model: "A", 1, serves: [0]) }
        stand.beginOverlap("B", 1)
        stand.settle()
        #expect(stand.machine.state.isHandingOver == isHandingOver)
        let due = stand.machine.nextDue
        #expect(stand.handle(.offered(Stand.offer("C", 1))) == [])
        if isHandingOver { stand.settle() }
        #expect(
            stand.wait() == [
                .keep([Stand.hash("A")], in: stand.id(0, 1)), stand.announcement("A", 1, claims: [0], serves: [0]),
                .log("the model B is not used: C was pushed after it"), .log("the model C was pushed: getting it"),
                .fetch(Stand.offer("C", 1), branches: [0]),
            ])
        #expect(!isHandingOver || stand.now == due, "until then another worker may say that it runs B alone")
    }

    @Test(
        "A model that is dealt out anew gives way to a newer one when its branches have answered",
        arguments: [false, true])
    func supersededWhileRepartitioning(isHandingOver: Bool) {
        var stand = Stand.running("A", 1)
        stand.beginRepartition("B", 2, started: isHandingOver ? [0, 1] : [0])
        #expect(stand.machine.state.isHandingOver == isHandingOver)
        _ = stand.handle(.offered(Stand.offer("C", 1)))
        if isHandingOver { stand.settle() }
        let stops = (isHandingOver ? [0, 1] : [0]).map { Rollout.Action.stop(stand.id($0, 2)) }
        #expect(stand.wait() == [stand.announcement("A", 1, claims: [0], serves: [0])] + stops)
        #expect(stand.handle(.stopped(stand.id(0, 2))) == [])
        if !isHandingOver {
            #expect(
                stand.handle(.started(stand.id(1, 2), versions: [Stand.hash("B")], computeTime: 1))
                    == [.stop(stand.id(1, 2))])
        }
        #expect(
            stand.handle(.stopped(stand.id(1, 2))) == [
                .log("the model B is not used: C was pushed after it"), .log("the model C was pushed: getting it"),
                .fetch(Stand.offer("C", 1), branches: [0]),
            ])
    }

    @Test("A model that a worker runs alone already is finished before the newer one")
    func notSuperseded() {
        var stand = Stand.running("A", 1)
        _ = stand.hear("v", model: "A", 1, serves: [0])
        stand.beginOverlap("B", 1)
        _ = stand.hear("v", model: "B", 1, serves: [0])
        _ = stand.handle(.offered(Stand.offer("C", 1)))
        let actions = stand.wait(for: "runs B now")
        #expect(actions.last == .fetch(Stand.offer("C", 1), branches: [0]))
        // And where the model is fetched only.
        var fetching = Stand.running("A", 1)
        _ = fetching.handle(.offered(Stand.offer("B", 1)))
        _ = fetching.hear("v", model: "B", 1, serves: [0])
        _ = fetching.handle(.offered(Stand.offer("C", 1)))
        #expect(fetching.wait() == [])
    }

    @Test("Back to the model that is run: nothing is fetched")
    func supersededByTheOldOne() {
        var stand = Stand.running("A", 1)
        stand.beginOverlap("B", 1, isPrepared: false)
        _ = stand.handle(.offered(Stand.offer("A", 1)))
        #expect(stand.wait().last == .log("the model B is not used: A was pushed after it"))
        #expect(stand.machine.state.isRunning)
        #expect(stand.handle(.offered(Stand.offer("A", 1))) == [], "it runs that")
        // The same one again is no newer one.
        stand.beginOverlap("B", 1)
        _ = stand.handle(.offered(Stand.offer("B", 1)))
        #expect(stand.wait(for: "runs B now").last == .log("runs B now"))
    }

    // MARK: Failures

    @Test("A model that cannot be fetched is not used, and tried again after ten seconds unless another one is offered")
    func fetchFails() {
        var stand = Stand.running("A", 1)
        let b = Stand.offer("B", 1)
        _ = stand.handle(.offered(b))
        #expect(
            stand.handle(.fetchFailed(b, Stand.failure("gone"))) == [.log("the model B is not used: gone")])
        stand.settle()
        #expect(stand.machine.state.isRunning)
        let begin = stand.now
        #expect(stand.wait() == [.log("the model B was pushed: getting it"), .fetch(b, branches: [0])])
        #expect(stand.now - begin > .seconds(9))
        _ = stand.handle(.fetchFailed(b, Stand.failure("gone")))
        _ = stand.hear("v", model: "B", 1, serves: [0])
        stand.settle()
        #expect(stand.machine.state.isRunning)
        #expect(stand.handle(.offered(Stand.offer("C", 1))).last == .fetch(Stand.offer("C", 1), branches: [0]))
        _ = stand.handle(.offered(b))
        #expect(stand.handle(.fetchFailed(Stand.offer("C", 1), Stand.failure("gone"))).last == .fetch(b, branches: [0]))
    }

    @Test("A model without the branch that a worker was told to run is not used")
    func refused() {
        var stand = Stand.running("A", 2, pinned: [1])
        let b = Stand.offer("B", 1)
        _ = stand.handle(.offered(b))
        #expect(
            stand.handle(.fetched(b, Stand.version("B", 1)))
                == [.log("the model B is not used: B has branches 0 to 0, there is no branch 1")])
        #expect(stand.machine.state.isRunning)
    }

    @Test("Where a branch cannot be computed in the new version, all keep the old one")
    func addFails() {
        var stand = Stand.running("A", 2)
        stand.beginOverlap("B", 2, isPrepared: false)
        let first = stand.id(0, 2)
        _ = stand.handle(.added(Stand.hash("B"), to: first))
        #expect(stand.handle(.addFailed(Stand.hash("X"), Stand.failure("no"))) == [], "not that one")
        #expect(
            stand.handle(.addFailed(Stand.hash("B"), Stand.failure("too large"))) == [
                .keep([Stand.hash("A")], in: first), .log("the model B is not used: too large"),
            ])
        #expect(stand.machine.state.isRunning)
    }

    @Test("Where a branch of the new model cannot be started, the others of it are stopped, and the old one goes on")
    func startOfTheNextFails() {
        var stand = Stand.running("A", 1)
        stand.beginRepartition("B", 2, started: [0])
        #expect(
            stand.handle(.startFailed(stand.id(1, 2), Stand.failure("no file"))) == [
                stand.announcement("A", 1, claims: [0], serves: [0]), .stop(stand.id(0, 2)),
            ])
        #expect(stand.handle(.stopped(stand.id(0, 2))) == [.log("the model B is not used: no file")])
        #expect(stand.machine.state.isRunning && stand.machine.current?.serves == [0])
    }

    @Test("Where a branch of the model that is run fails, the worker ends", arguments: [false, true])
    func startFails(isServing: Bool) {
        var stand = Stand()
        _ = stand.handle(.given(Stand.version("A", 1)))
        if isServing { stand.start(0, 1, ["A"]) }
        let failure = Stand.failure("refused")
        #expect(stand.handle(.startFailed(stand.id(0, 1), failure)) == [.fail(failure)])
        #expect(stand.handle(.offered(Stand.offer("B", 1))) == [] && stand.machine.nextDue == nil)
    }

    @Test("A failure of a branch that is given up ends nothing")
    func failsWhileStopping() {
        var stand = Stand.running("A", 2)
        _ = stand.hear("v", model: "A", 2, serves: [1])
        stand.settle()
        #expect(stand.machine.current?.branches[1] == .stopping)
        #expect(stand.handle(.startFailed(stand.id(1, 2), Stand.failure("refused"))) == [])
        #expect(stand.handle(.added(Stand.hash("B"), to: stand.id(1, 2))) == [])
        #expect(stand.handle(.stopped(stand.id(1, 2))) == [])
        #expect(stand.machine.current?.claimed == [0])
        #expect(stand.handle(.stopped(stand.id(1, 2))) == [], "it has none")
        #expect(stand.handle(.startFailed(stand.id(1, 2), Stand.failure("refused"))) == [])
    }

    @Test("A branch that nobody asked for is stopped")
    func strayBranch() {
        var stand = Stand.running("A", 1)
        #expect(
            stand.handle(.started(stand.id(0, 5), versions: [], computeTime: 1)) == [.stop(stand.id(0, 5))])
        #expect(stand.machine.current?.claimed == [0])
    }

    // MARK: The end

    @Test("A worker that is asked to end stops every branch, whatever it is about, and then says nothing more")
    func ends() {
        func check(_ stand: Stand, _ stops: [BranchID], _ comment: Comment) {
            var stand = stand
            #expect(stand.handle(.end) == stops.map { .stop($0) }, comment)
            #expect(stand.machine.state == .ended && stand.machine.nextDue == nil, comment)
            let b = Stand.version("B", 1)
            for event: Rollout.Event in [
                .offered(b.offer!), .fetched(b.offer!, b), .stopped(stand.id(0, 1)), .time, .end,
                .started(stand.id(0, 1), versions: [b.hash], computeTime: 1), .presence(Presence()),
                .startFailed(stand.id(0, 1), Stand.failure("no")), .fetchFailed(b.offer!, Stand.failure("no")),
            ] {
                #expect(stand.handle(event) == [], comment)
            }
        }
        var joining = Stand()
        check(joining, [], "without a model")
        _ = joining.handle(.found(Stand.offer("A", 1)))
        check(joining, [], "joining")
        let running = Stand.running("A", 1)
        let id = running.id(0, 1)
        check(running, [id], "running")
        var fetching = running
        _ = fetching.handle(.offered(Stand.offer("B", 1)))
        check(fetching, [id], "fetching")
        var overlapping = running
        overlapping.beginOverlap("B", 1)
        check(overlapping, [id], "overlapping")
        var repartitioning = running
        repartitioning.beginRepartition("B", 2, started: [0])
        check(repartitioning, [id, repartitioning.id(0, 2)], "repartitioning; branch 1 is not there yet")
        var retiring = running
        retiring.beginRepartition("B", 2, started: [0, 1])
        while retiring.machine.state.progress != nil { _ = retiring.wait() }
        check(retiring, [retiring.id(0, 2), retiring.id(1, 2)], "retiring: the old one is being stopped already")
    }
}
