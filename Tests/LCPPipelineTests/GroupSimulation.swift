import LCPWire
import Testing

@testable import LCPPipeline

/// Aggregators, their broker and time, as a simulation.
struct GroupSimulation {
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
    /// How much longer than usual the broker takes.
    var delay = 0
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
            let arrival = max(lastArrival[name] ?? 0, time + delay + Int.random(in: 1...20, using: &random))
            lastArrival[name] = arrival
            post(what, to: name, after: arrival - time)
        }
    }

    /// The broker stands still for so long; what it gives afterwards has the same order.
    mutating func stop(for length: Int) {
        for index in events.indices {
            switch events[index].what {
            case .beat, .status: events[index].time += length
            case .tick, .prepared, .settled: break
            }
        }
        for name in nodes.keys { lastArrival[name] = max(lastArrival[name] ?? 0, time) + length }
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
struct SystemRandom: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        return bits ^ bits >> 31
    }
}
