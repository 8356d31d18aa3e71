import LCPWire
import Testing

@testable import LCPPipeline

@Suite struct RolloutSimulationTests {
    static func simulation(seed: UInt64, workers: Int, _ isCoordinated: Bool) -> RolloutSimulation {
        let simulation = RolloutSimulation(seed: seed, isCoordinated: isCoordinated)
        for number in 0..<workers { simulation.add("w\(number)") }
        simulation.push("m0", simulation.chance(1...6))
        simulation.run()
        return simulation
    }

    @Test(
        "Workers that see the same, at different times, share a model without a gap", arguments: 0..<40, [false, true])
    func sharesAModel(seed: UInt64, isCoordinated: Bool) throws {
        let simulation = Self.simulation(seed: seed, workers: 1 + Int(seed) % 6, isCoordinated)
        #expect(simulation.problems == [])
        #expect(simulation.isSettled(on: try #require(simulation.offer)), "\(simulation)")
    }

    @Test("Of many workers each starts the one branch of a new model that it keeps", arguments: 0..<10, [false, true])
    func manyWorkers(seed: UInt64, isCoordinated: Bool) throws {
        let simulation = Self.simulation(seed: seed, workers: 24, isCoordinated)
        let before = simulation.starts
        // Never as many as before.
        simulation.push("m1", 8)
        simulation.run()
        #expect(simulation.isSettled(on: try #require(simulation.offer)), "\(simulation)")
        #expect(simulation.starts - before <= 26, "\(simulation.starts - before)")
    }

    @Test(
        "In a change every frame is complete in one of the models, whichever worker gets it", arguments: 0..<60,
        [false, true])
    func changesWithoutAGap(seed: UInt64, isCoordinated: Bool) throws {
        let simulation = Self.simulation(seed: seed, workers: 1 + Int(seed) % 5, isCoordinated)
        #expect(simulation.isCovered)
        simulation.isWatched = true
        for number in 1...4 {
            simulation.push("m\(number)", simulation.chance(1...6))
            simulation.run()
            #expect(simulation.isSettled(on: try #require(simulation.offer)), "\(simulation)")
        }
        #expect(simulation.problems == [])
    }

    @Test(
        "Models that are pushed at any time, one after the other, end in the last one", arguments: 0..<60,
        [false, true])
    func pushedAtAnyTime(seed: UInt64, isCoordinated: Bool) throws {
        let simulation = Self.simulation(seed: seed, workers: 1 + Int(seed) % 5, isCoordinated)
        for number in 1...6 {
            // Now and then the same one again.
            simulation.push("m\(simulation.chance(0...3) == 0 ? 0 : number)", simulation.chance(1...5))
            simulation.run(.milliseconds(simulation.chance(1...1500)))
        }
        simulation.run()
        #expect(simulation.problems == [])
        #expect(simulation.isSettled(on: try #require(simulation.offer)), "\(simulation)")
    }

    @Test("A model that nobody can fetch or run leaves everything as it was", arguments: 0..<40, [false, true])
    func brokenModels(seed: UInt64, isCoordinated: Bool) throws {
        let simulation = Self.simulation(seed: seed, workers: 1 + Int(seed) % 4, isCoordinated)
        let before = try #require(simulation.offer)
        simulation.isWatched = true
        simulation.broken[RolloutStand.hash("bad")] = seed % 2 == 0 ? "fetch" : "start"
        simulation.push("bad", simulation.chance(1...5))
        simulation.run()
        // One that cannot be fetched is tried again now and then, and whoever does that is busy for a moment.
        for _ in 0..<100 where !simulation.isSettled(on: before) { simulation.run(.milliseconds(100)) }
        #expect(simulation.problems == [])
        #expect(simulation.isSettled(on: before), "\(simulation)")
        simulation.push("good", simulation.chance(1...5))
        simulation.run()
        #expect(simulation.problems == [])
        #expect(simulation.isSettled(on: try #require(simulation.offer)), "\(simulation)")
    }

    @Test(
        "Workers that come and go while models are pushed end in the last one, with every branch", arguments: 0..<60,
        [false, true])
    func workersComeAndGo(seed: UInt64, isCoordinated: Bool) throws {
        let simulation = Self.simulation(seed: seed, workers: 3, isCoordinated)
        for number in 1...5 {
            simulation.push("m\(number)", simulation.chance(1...5))
            simulation.run(.milliseconds(simulation.chance(1...900)))
            if simulation.chance(0...1) == 0 {
                simulation.kill(simulation.workers[simulation.chance(0...simulation.workers.count - 1)])
            }
            simulation.run(.milliseconds(simulation.chance(1...900)))
            simulation.add("n\(number)")
        }
        simulation.run()
        #expect(simulation.problems == [])
        #expect(simulation.isSettled(on: try #require(simulation.offer)), "\(simulation)")
    }
}
