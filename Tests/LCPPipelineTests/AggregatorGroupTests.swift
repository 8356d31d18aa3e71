import LCPWire
import Testing

@testable import LCPPipeline

/// Aggregators, their broker and time, as a simulation.
private struct GroupSimulation {
    struct Node {
        var group: AggregatorGroup
        var birth: String
        var isAlive = true
        /// Until when its process is stopped.
        var hangsUntil = 0
        var inbox: [Event] = []
    }

    enum What {
        case beat([UInt8])
        case status(String, birth: String, isGone: Bool)
        case tick
        case prepared(AggregatorGroup.View)
        case settled(AggregatorGroup.View)
    }

    struct Event {
        var time: Int
        var order: Int
        var node: String
        var birth: String
        var what: What
    }

    let base = ContinuousClock.now
    /// Milliseconds.
    var time = 0
    var nodes: [String: Node] = [:]
    var events: [Event] = []
    var order = 0
    var births = 0
    /// When the last message reaches each: a broker keeps the order.
    var lastArrival: [String: Int] = [:]
    var random: SystemRandom
    var begun: [String: Int] = [:]
    var changes = 0
    var beats = 0
    private var hasFailed = false

    init(seed: UInt64) { random = SystemRandom(state: seed) }

    func instant(_ time: Int) -> ContinuousClock.Instant { base + .milliseconds(time) }

    mutating func post(_ what: What, to node: String, after delay: Int) {
        guard let birth = nodes[node]?.birth else { return }
        order += 1
        events.append(Event(time: time + delay, order: order, node: node, birth: birth, what: what))
    }

    /// What a broker gives to everybody, in the same order.
    mutating func broadcast(_ what: What) {
        for name in nodes.keys.sorted() where nodes[name]!.isAlive {
            let arrival = max(lastArrival[name] ?? 0, time + Int.random(in: 1...20, using: &random))
            lastArrival[name] = arrival
            post(what, to: name, after: arrival - time)
        }
    }

    mutating func start(_ name: String) {
        births += 1
        let birth = "b\(births)"
        var group = AggregatorGroup(id: name, birth: birth, now: instant(time))
        group.models = ["m"]
        for (other, node) in nodes where node.isAlive { group.met(other, birth: node.birth, models: ["m"]) }
        nodes[name] = Node(group: group, birth: birth)
        broadcast(.status(name, birth: birth, isGone: false))
        perform(name) { group, _ in group.start() }
        post(.tick, to: name, after: 250)
    }

    mutating func kill(_ name: String) {
        guard let node = nodes[name], node.isAlive else { return }
        nodes[name]!.isAlive = false
        broadcast(.status(name, birth: node.birth, isGone: true))
    }

    mutating func perform(
        _ name: String, _ body: (inout AggregatorGroup, ContinuousClock.Instant) -> [AggregatorGroup.Action]
    ) {
        let now = instant(time)
        for action in body(&nodes[name]!.group, now) {
            switch action {
            case .beat:
                beats += 1
                broadcast(.beat(nodes[name]!.group.nextBeat(now).json))
            case .receive(_, let view): post(.prepared(view), to: name, after: Int.random(in: 0...30, using: &random))
            case .finish(let view): post(.settled(view), to: name, after: Int.random(in: 0...100, using: &random))
            case .begin(let buckets, _):
                changes += 1
                for bucket in buckets { begun["\(bucket)"] = time }
            case .agreed, .pause: break
            case .left: kill(name)
            }
        }
    }

    /// Runs for so long; after every event nobody may answer what another one may.
    mutating func run(for duration: Int) {
        let end = time + duration
        while let next = events.indices.min(by: {
            (events[$0].time, events[$0].order) < (events[$1].time, events[$1].order)
        }), events[next].time <= end {
            let event = events.remove(at: next)
            time = max(time, event.time)
            guard let node = nodes[event.node], node.isAlive, node.birth == event.birth else { continue }
            guard node.hangsUntil <= time else {
                events.append(event)
                events[events.count - 1].time = node.hangsUntil
                continue
            }
            handle(event)
            checkRights()
        }
        time = end
        checkRights()
    }

    private mutating func handle(_ event: Event) {
        // As before every message.
        perform(event.node) { group, now in group.check(now: now) }
        switch event.what {
        case .beat(let json):
            guard let beat = AggregatorBeat(json) else { return _ = Issue.record("a beat cannot be read") }
            perform(event.node) { group, now in group.heard(beat, now: now) }
        case .status(let id, let birth, let isGone):
            if isGone {
                perform(event.node) { group, now in group.gone(id, birth: birth, now: now) }
            } else {
                nodes[event.node]!.group.met(id, birth: birth, models: ["m"])
            }
        case .tick:
            perform(event.node) { group, now in group.tick(now: now) }
            post(.tick, to: event.node, after: 250)
        case .prepared(let view): perform(event.node) { group, now in group.prepared(view, now: now) }
        case .settled(let view): perform(event.node) { group, now in group.settled(view, now: now) }
        }
    }

    private func mayAnswer(_ name: String, _ bucket: Int) -> Bool {
        guard var group = nodes[name]?.group, nodes[name]!.isAlive, nodes[name]!.hangsUntil <= time else {
            return false
        }
        // It looks at the time before it answers.
        _ = group.check(now: instant(time))
        return [.answer, .finish].contains(group.right(bucket))
    }

    private mutating func checkRights() {
        guard !hasFailed else { return }
        for bucket in 0..<SensorBuckets.count {
            let able = nodes.keys.sorted().filter { mayAnswer($0, bucket) }
            guard able.count > 1 else { continue }
            hasFailed = true
            Issue.record("bucket \(bucket) is answered by \(able) at \(time) ms")
            return
        }
    }

    /// Who answers each bucket.
    var answering: [String?] {
        (0..<SensorBuckets.count).map { bucket in
            nodes.keys.sorted().first { name in
                nodes[name]!.isAlive && nodes[name]!.group.right(bucket) == .answer
            }
        }
    }
}

/// SplitMix64: the same numbers at every run.
private struct SystemRandom: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        return bits ^ bits >> 31
    }
}

@Suite struct AggregatorGroupTests {
    @Test("One alone answers everything as soon as its own word has come back")
    func alone() {
        var simulation = GroupSimulation(seed: 1)
        simulation.start("a")
        simulation.run(for: 200)
        #expect(simulation.answering.allSatisfy { $0 == "a" })
    }

    @Test("One alone says so every two seconds, and four times a second as soon as there is another, dead or alive")
    func quiet() {
        var simulation = GroupSimulation(seed: 1)
        func beats(in duration: Int) -> Int {
            let before = simulation.beats
            simulation.run(for: duration)
            return simulation.beats - before
        }
        simulation.start("a")
        simulation.run(for: 1000)
        #expect(beats(in: 20_000) == 10)
        simulation.start("b")
        #expect(beats(in: 20_000) > 2 * 4 * 20)
        simulation.kill("b")
        simulation.run(for: 3000)
        #expect(beats(in: 20_000) == 10)
    }

    @Test("Two share the buckets evenly, and one that ends by itself gives its own away")
    func join() {
        var simulation = GroupSimulation(seed: 2)
        simulation.start("a")
        simulation.run(for: 1000)
        simulation.start("b")
        simulation.run(for: 1000)
        #expect(simulation.answering.count { $0 == "a" } == 16)
        #expect(simulation.answering.count { $0 == "b" } == 16)
        simulation.perform("a") { group, now in group.leave(now: now) }
        simulation.run(for: 600)
        #expect(simulation.answering.allSatisfy { $0 == "b" })
        #expect(simulation.nodes["a"]?.isAlive == false)
    }

    @Test("One that dies or hangs is replaced within two seconds, and is back when it lives", arguments: [true, false])
    func takeover(dies: Bool) {
        var simulation = GroupSimulation(seed: 3)
        for name in ["a", "b", "c"] { simulation.start(name) }
        simulation.run(for: 3000)
        #expect(Set(simulation.answering) == ["a", "b", "c"])
        if dies { simulation.kill("a") } else { simulation.nodes["a"]!.hangsUntil = simulation.time + 5000 }
        simulation.run(for: 2000)
        #expect(
            (0..<SensorBuckets.count).allSatisfy { bucket in
                ["b", "c"].contains { simulation.nodes[$0]!.group.right(bucket) == .answer }
            })
        simulation.run(for: 15_000)
        #expect(Set(simulation.answering) == (dies ? ["b", "c"] : ["a", "b", "c"]))
    }

    @Test("One that comes and goes every two seconds moves buckets at most once in ten seconds")
    func flapping() {
        var simulation = GroupSimulation(seed: 4)
        for name in ["a", "b"] { simulation.start(name) }
        simulation.run(for: 3000)
        simulation.kill("a")
        simulation.run(for: 2000)
        let before = simulation.changes
        for _ in 0..<10 {
            simulation.start("a")
            simulation.run(for: 2000)
            simulation.kill("a")
            simulation.run(for: 2000)
        }
        #expect(simulation.changes == before)
        simulation.start("a")
        simulation.run(for: 12_000)
        #expect(Set(simulation.answering) == ["a", "b"])
    }

    @Test("One that was alone and stood still for four seconds goes on, and a newcomer has waited for it")
    func standstill() {
        var simulation = GroupSimulation(seed: 7)
        simulation.start("a")
        simulation.run(for: 1000)
        simulation.nodes["a"]!.hangsUntil = simulation.time + 4000
        simulation.start("b")
        simulation.run(for: 3900)
        #expect(simulation.nodes["b"]?.group.isIn == false)
        simulation.run(for: 1000)
        #expect(Set(simulation.answering) == ["a", "b"])
    }

    @Test("One that was taken for dead before it heard that it was let in is let in later")
    func buriedUnheard() {
        var simulation = GroupSimulation(seed: 8)
        simulation.start("a")
        simulation.run(for: 1000)
        simulation.start("b")
        while simulation.nodes["a"]!.group.isShared == false { simulation.run(for: 1) }
        simulation.nodes["b"]!.hangsUntil = simulation.time + 2200
        simulation.run(for: 2100)
        #expect(!simulation.nodes["a"]!.group.isShared)
        // What was said to it meanwhile never arrives.
        simulation.events.removeAll { $0.node == "b" && { if case .beat = $0 { true } else { false } }($0.what) }
        simulation.run(for: 20_000)
        #expect(Set(simulation.answering) == ["a", "b"])
    }

    @Test("Who has no status is not let in, and moves nothing")
    func stranger() {
        var simulation = GroupSimulation(seed: 6)
        simulation.start("b")
        simulation.run(for: 500)
        for number in 1...20 as ClosedRange<UInt64> {
            let beat = AggregatorBeat(
                member: .init(id: "a", birth: "b9", term: 0), number: number, models: ["m"])
            simulation.perform("b") { group, now in group.heard(beat, now: now) }
            simulation.run(for: 100)
        }
        #expect(simulation.nodes["b"]!.group.view?.members.map(\.id) == ["b"])
        #expect(simulation.answering.allSatisfy { $0 == "b" })
    }

    @Test("Aggregators of different models do not share sensors")
    func models() {
        var simulation = GroupSimulation(seed: 5)
        simulation.start("a")
        simulation.run(for: 500)
        simulation.start("b")
        simulation.nodes["b"]!.group.models = ["other"]
        simulation.nodes["b"]!.group.met("a", birth: "b1", models: ["m"])
        simulation.nodes["b"]!.group.met("a", birth: "b1", models: ["m"])
        let beat = simulation.nodes["b"]!.group.nextBeat(.now)
        #expect(simulation.nodes["a"]!.group.heard(beat, now: simulation.instant(600)).isEmpty)
        #expect(!simulation.nodes["a"]!.group.isShared)
    }

    @Test("Whatever happens, no two ever answer the same bucket, and in the end all are answered", arguments: 0..<20)
    func everything(seed: Int) {
        var simulation = GroupSimulation(seed: UInt64(seed))
        let names = ["a", "b", "c", "d"]
        for name in names.prefix(1 + seed % 4) { simulation.start(name) }
        for _ in 0..<25 {
            simulation.run(for: Int.random(in: 0...2500, using: &simulation.random))
            let name = names.randomElement(using: &simulation.random)!
            let node = simulation.nodes[name]
            switch Int.random(in: 0..<7, using: &simulation.random) {
            case 0 where node?.isAlive != true, 1 where node?.isAlive != true: simulation.start(name)
            case 2: simulation.kill(name)
            case 3 where node?.isAlive == true:
                simulation.nodes[name]!.hangsUntil =
                    simulation.time + Int.random(in: 100...4000, using: &simulation.random)
            case 4 where node?.isAlive == true:
                simulation.perform(name) { group, now in group.leave(now: now) }
            case 5:
                // The broker stands still.
                let length = Int.random(in: 100...5000, using: &simulation.random)
                for index in simulation.events.indices {
                    if case .beat = simulation.events[index].what { simulation.events[index].time += length }
                }
                for name in names { simulation.lastArrival[name] = simulation.time + length }
            case 6 where node?.isAlive == true && node!.hangsUntil <= simulation.time:
                // Its connection is cut, and made again.
                let birth = node!.birth
                simulation.events.removeAll {
                    guard $0.node == name, case .beat = $0.what else { return false }
                    return true
                }
                simulation.broadcast(.status(name, birth: birth, isGone: true))
                simulation.perform(name) { group, now in group.reconnected(now: now) }
                simulation.broadcast(.status(name, birth: birth, isGone: false))
            default: break
            }
        }
        simulation.run(for: 5000)
        if simulation.nodes.values.allSatisfy({ !$0.isAlive }) { simulation.start("a") }
        simulation.run(for: 35_000)
        let alive = simulation.nodes.filter { $0.value.isAlive }
        #expect(simulation.answering.allSatisfy { $0 != nil }, "seed \(seed)")
        #expect(Set(simulation.answering.compactMap(\.self)) == Set(alive.keys), "seed \(seed)")
    }
}
