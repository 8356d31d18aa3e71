import LCPWire
import Testing

@testable import LCPPipeline

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

    @Test("One alone answers also where its own word takes seconds to come back", arguments: [900, 1500, 3000])
    func slowBroker(delay: Int) {
        var simulation = GroupSimulation(seed: 1)
        simulation.delay = delay
        simulation.start("a")
        simulation.run(for: 2 * delay + 500)
        #expect(simulation.answering.allSatisfy { $0 == "a" })
    }

    @Test("What was said in an earlier life and comes late moves nothing")
    func lateWord() {
        var simulation = GroupSimulation(seed: 9)
        for name in ["a", "b"] { simulation.start(name) }
        simulation.run(for: 1000)
        let late = simulation.nodes["b"]!.group.nextBeat(simulation.instant(simulation.time))
        simulation.kill("b")
        simulation.start("b")
        simulation.run(for: 2000)
        #expect(Set(simulation.answering) == ["a", "b"])
        let members = simulation.nodes["a"]!.group.view?.members
        simulation.perform("a") { group, now in group.heard(late, now: now) }
        #expect(simulation.nodes["a"]!.group.view?.members == members)
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
            switch Int.random(in: 0..<8, using: &simulation.random) {
            case 0 where node?.isAlive != true, 1 where node?.isAlive != true: simulation.start(name)
            case 2: simulation.kill(name)
            case 3 where node?.isAlive == true:
                simulation.nodes[name]!.hangsUntil =
                    simulation.time + Int.random(in: 100...4000, using: &simulation.random)
            case 4 where node?.isAlive == true:
                simulation.perform(name) { group, now in group.leave(now: now) }
            case 5:
                // The broker stands still.
                simulation.stop(for: Int.random(in: 100...5000, using: &simulation.random))
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
            case 7: simulation.delay = [0, 300, 900, 2000].randomElement(using: &simulation.random)!
            default: break
            }
        }
        simulation.delay = 0
        simulation.run(for: 5000)
        if simulation.nodes.values.allSatisfy({ !$0.isAlive }) { simulation.start("a") }
        simulation.run(for: 35_000)
        let alive = simulation.nodes.filter { $0.value.isAlive }
        #expect(simulation.answering.allSatisfy { $0 != nil }, "seed \(seed)")
        #expect(Set(simulation.answering.compactMap(\.self)) == Set(alive.keys), "seed \(seed)")
    }
}
