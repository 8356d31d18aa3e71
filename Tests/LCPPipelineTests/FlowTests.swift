import LCPWire
import Platform
import Testing

@testable import LCPPipeline

/// Sensors, branches with replicas and a control, in simulated time: every worker takes what its filter admits, first come, first
/// served, and keeps only the newest frame of a sensor that waits.
private struct Simulation {
    struct Sensor {
        var name: String
        var rate: Double
        var phase = 0.0
        /// Tells that frames have no numbers.
        var isBare = false
    }
    struct Worker {
        var filter = FlowFilter()
        var busyUntil = 0.0
        var queue: [(sensor: String, session: UInt64, frame: UInt64, arrival: Double)] = []
    }
    struct Frame: Hashable {
        var sensor: String
        var frame: UInt64
    }

    var sensors: [Sensor]
    var replicas: [Int]
    /// Seconds for a frame, of each branch.
    var service: [Double]
    var control: FlowControl
    var workers: [[Worker]]
    var nextReplica: [Int]
    /// For each frame the branches that computed it, and when the last one had.
    var answers: [Frame: (branches: Int, arrival: Double, done: Double)] = [:]
    var arrivals = 0
    /// How often the plan changed, and when it did last.
    var changes = (count: 0, last: 0.0)
    let epoch = ContinuousClock.now

    init(_ sensors: [Sensor], replicas: [Int], service: Double, policy: FramePolicy = .latest) {
        self.sensors = sensors
        self.replicas = replicas
        self.service = replicas.map { _ in service }
        control = FlowControl(branchCount: replicas.count, policy: policy, queueLimit: 64)
        workers = replicas.map { Array(repeating: Worker(), count: $0) }
        nextReplica = replicas.map { _ in 0 }
    }

    private func instant(_ time: Double) -> ContinuousClock.Instant { epoch + .seconds(time) }

    private mutating func work(until time: Double) {
        for branch in workers.indices {
            for replica in workers[branch].indices {
                while let next = workers[branch][replica].queue.first {
                    let begin = max(next.arrival, workers[branch][replica].busyUntil)
                    guard begin < time else { break }
                    workers[branch][replica].queue.removeFirst()
                    let end = begin + service[branch]
                    workers[branch][replica].busyUntil = end
                    control.came(
                        next.sensor, session: next.session, frame: next.frame, branch: branch,
                        queue: UInt32((begin - next.arrival) * 1e6), compute: UInt32(service[branch] * 1e6),
                        now: instant(end))
                    let key = Frame(sensor: next.sensor, frame: next.frame)
                    let answer = answers[key] ?? (0, next.arrival, 0)
                    answers[key] = (answer.branches + 1, answer.arrival, max(answer.done, end))
                }
            }
        }
    }

    mutating func run(from start: Double = 0, for seconds: Double) {
        var events: [(time: Double, sensor: Int, frame: UInt64)] = []
        for (index, sensor) in sensors.enumerated() {
            var number = UInt64((start * sensor.rate).rounded(.up))
            while Double(number) / sensor.rate < start + seconds {
                events.append((Double(number) / sensor.rate + sensor.phase, index, number))
                number += 1
            }
        }
        var nextLook = start
        for event in events.sorted(by: { $0.time < $1.time }) {
            while nextLook < event.time {
                work(until: nextLook)
                if let plan = control.evaluate(replicas: replicas, now: instant(nextLook)) {
                    changes = (changes.count + 1, nextLook)
                    for branch in workers.indices {
                        for replica in workers[branch].indices {
                            workers[branch][replica].filter = FlowFilter(FlowPlan(plan.json) ?? FlowPlan())
                        }
                    }
                }
                nextLook += 0.1
            }
            work(until: event.time)
            arrivals += 1
            let sensor = sensors[event.sensor]
            // A bare frame's number is a hash.
            let frame = sensor.isBare ? event.frame &* 0x9E37_79B9_7F4A_7C15 : event.frame
            for branch in workers.indices {
                let replica = nextReplica[branch]
                nextReplica[branch] = (replica + 1) % replicas[branch]
                let session: UInt64 = sensor.isBare ? 0 : 7
                guard workers[branch][replica].filter.admits(sensor.name, session: session, frame: frame) else {
                    continue
                }
                workers[branch][replica].queue.removeAll { $0.sensor == sensor.name }
                workers[branch][replica].queue.append((sensor.name, session, frame, event.time))
            }
        }
    }

    /// The frames that came in a stretch of time, and were computed by any branch.
    func answered(from start: Double, to end: Double, sensor: String? = nil) -> [(branches: Int, latency: Double)] {
        answers.filter { (start..<end).contains($1.arrival) && (sensor == nil || $0.sensor == sensor) }.values.map {
            ($0.branches, $0.done - $0.arrival)
        }
    }
}

@Suite struct FlowTests {
    /// A sender that waits for each answer, as a shell script does, never sends too much, however slow and busy the devices are: a
    /// frame that was left out would keep it waiting for ever.
    @Test(arguments: [2, 4, 8])
    func whoWaitsForEveryAnswerIsAlwaysAnswered(branchCount: Int) {
        var control = FlowControl(branchCount: branchCount, policy: .latest, queueLimit: 64)
        let replicas = Array(repeating: 1, count: branchCount)
        var now = ContinuousClock.now
        for frame in 0..<20 as Range<UInt64> {
            // Every branch is kept waiting for the processor, half as long as it computes.
            now += .milliseconds(150)
            for branch in 0..<branchCount {
                control.came(
                    "shell", session: 0, frame: frame &* 0x9E37_79B9_7F4A_7C15, branch: branch, queue: 50_000,
                    compute: 100_000, now: now)
            }
            #expect(control.evaluate(replicas: replicas, now: now) == nil, "frame \(frame)")
        }
    }

    @Test func whatFitsIsNotTouched() {
        var simulation = Simulation(
            [.init(name: "a", rate: 30), .init(name: "b", rate: 15)], replicas: [1, 1, 1, 1], service: 0.02)
        simulation.run(for: 20)
        #expect(simulation.control.plan.sensors.isEmpty)
        let answers = simulation.answered(from: 0, to: 19)
        #expect(answers.count == 19 * 45)
    }

    @Test(arguments: [[1, 1, 1, 1], [2, 1, 3, 1], [2, 2, 2, 2]])
    func anOverloadLeavesWholeFramesThatHardlyWait(replicas: [Int]) {
        let capacity = 50 * Double(replicas.min()!)
        var simulation = Simulation([.init(name: "cam", rate: capacity * 5)], replicas: replicas, service: 0.02)
        simulation.run(for: 30)
        let late = simulation.answered(from: 1, to: 29)
        #expect(late.allSatisfy { $0.branches == replicas.count }, "every frame has all branches")
        #expect(late.allSatisfy { $0.latency < 0.04 }, "\(late.map(\.latency).max()!)")
        #expect(Double(late.count) > 0.7 * 28 * capacity, "\(late.count) of \(28 * capacity)")
        // It takes less than half a second, in which the branch with the most workers goes ahead.
        let early = simulation.answered(from: 0, to: 1)
        #expect(early.count { $0.branches < replicas.count || $0.latency > 0.04 } < 25 * replicas.max()!)
    }

    @Test func severalSensorsAreSpreadOverTime() {
        let sensors = (0..<4).map { Simulation.Sensor(name: "cam\($0)", rate: 62.5, phase: 0.001 * Double($0)) }
        var simulation = Simulation(sensors, replicas: [1, 1, 1, 1], service: 0.02)
        simulation.run(for: 30)
        let answers = simulation.answered(from: 2, to: 29)
        #expect(answers.allSatisfy { $0.branches == 4 })
        let latencies = answers.map(\.latency).sorted()
        #expect(latencies[latencies.count * 99 / 100] < 0.045, "\(latencies[latencies.count * 99 / 100])")
        for sensor in sensors {
            let count = simulation.answered(from: 2, to: 29, sensor: sensor.name).count
            #expect((220...340).contains(count), "\(sensor.name) \(count)")
        }
    }

    @Test(
        "Sensors of which slow branches compute a frame every five seconds stay under their rules", arguments: [1, 10])
    func slowBranches(sensors count: Int) {
        let sensors = (0..<count).map { Simulation.Sensor(name: "cam\($0)", rate: 4, phase: 0.01 * Double($0)) }
        var simulation = Simulation(sensors, replicas: [1, 1], service: 5 / Double(count))
        simulation.run(for: 200)
        #expect(simulation.control.plan.sensors.count == count)
        // They become known one after the other; then nothing changes any more.
        #expect(simulation.changes.last < 120, "\(simulation.changes)")
    }

    @Test func whoSendsLittleIsAnsweredInFull() {
        var simulation = Simulation(
            [.init(name: "flood", rate: 400), .init(name: "door", rate: 2, phase: 0.1234)], replicas: [1, 1],
            service: 0.02)
        simulation.run(for: 30)
        #expect(simulation.answered(from: 2, to: 29, sensor: "door").count == 54)
        #expect(simulation.answered(from: 2, to: 29, sensor: "door").allSatisfy { $0.branches == 2 })
    }

    @Test func afterTheOverloadEveryFrameIsComputedAgain() {
        var simulation = Simulation([.init(name: "cam", rate: 250)], replicas: [1, 1], service: 0.02)
        simulation.run(for: 5)
        #expect(simulation.control.plan.sensors["cam"]?.rule.every == 6)
        simulation.sensors = [.init(name: "cam", rate: 25)]
        // The same sensor goes on with higher numbers.
        simulation.run(from: 60, for: 20)
        #expect(simulation.control.plan.sensors.isEmpty)
        let answers = simulation.answered(from: 65, to: 79)
        #expect(answers.count == 14 * 25 && answers.allSatisfy { $0.branches == 2 })
    }

    @Test("Frames without numbers are chosen by their bytes: branches of different speeds compute the same ones")
    func framesWithoutNumbersAreChosenByTheirBytes() {
        var simulation = Simulation([.init(name: "shell", rate: 250, isBare: true)], replicas: [1, 1], service: 0.02)
        simulation.service[1] = 0.0215
        simulation.run(for: 20)
        let answers = simulation.answered(from: 2, to: 19)
        #expect(answers.count { $0.branches == 2 } > 17 * 25)
        #expect(simulation.control.plan.sensors["shell"] != nil)
    }

    @Test func allWorkersChangeOverWithTheSameFrame() {
        let filter = FlowFilter(
            FlowPlan(sensors: [
                "cam": .init(rule: .init(every: 5, phase: 2), before: .init(every: 3, phase: 1), session: 9, from: 100)
            ]))
        #expect(filter.admits("cam", session: 9, frame: 97) && !filter.admits("cam", session: 9, frame: 98))
        #expect(filter.admits("cam", session: 9, frame: 102) && !filter.admits("cam", session: 9, frame: 103))
        #expect(filter.admits("cam", session: 8, frame: 2) && !filter.admits("cam", session: 8, frame: 4))
        #expect(filter.admits("other", session: 9, frame: 98))
    }

    @Test func aPlanSurvivesItsJSONAndNothingElseIsOne() throws {
        let plan = FlowPlan(sensors: [
            "a \"b\" é": .init(rule: .init(every: 3, phase: 1), before: .init(), session: .max, from: .max)
        ])
        #expect(FlowPlan(plan.json) == plan)
        #expect(FlowPlan().json.isEmpty)
        for text in ["", "{", "[]", "{}", #"{"sensors":{"a":{"rule":{"every":-1,"phase":0}}}}"#] {
            #expect(FlowPlan(Array(text.utf8)) == nil)
        }
        #expect(FlowPlan([UInt8](repeating: 32, count: 65_537)) == nil)
        // Impossible rules admit or leave out, and never stop the program.
        let odd = FlowFilter(
            FlowPlan(sensors: [
                "a": .init(rule: .init(every: 0, phase: 5), before: .init(every: 0, phase: 0), session: 1, from: 0)
            ]))
        #expect(odd.admits("a", session: 1, frame: 1))
    }
}
