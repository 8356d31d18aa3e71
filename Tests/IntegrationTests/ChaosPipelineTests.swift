import FaultInjection
import Foundation
import LCPWire
import MQTT
import Platform
import Testing

@Suite struct ChaosPipelineTests {
    /// Sends frames through a pipeline and returns their predictions.
    private func predictions(
        _ pipeline: TestPipeline, frames: Int, pause: Duration = .milliseconds(5), within limit: Duration = .seconds(3),
        before: (Int) -> Void = { _ in }
    ) async throws -> [Prediction] {
        let messages = try await pipeline.client.subscribe(
            to: pipeline.topics.predictions, buffer: .init(maximumMessages: 10_000, maximumBytes: 16 << 20))
        let seen = Task {
            var seen: [Prediction] = []
            for try await message in messages {
                if let prediction = Prediction(message.payload) { seen.append(prediction) }
            }
            return seen
        }
        for number in 0..<UInt64(frames) {
            before(Int(number))
            try await pipeline.client.publish(
                try PipelineTests.input(number).message, to: pipeline.topics.input("cam"))
            try await Task.sleep(for: pause)
        }
        // Not only until all have come: one too many would come later.
        try await Task.sleep(for: limit)
        messages.unsubscribe()
        return try await seen.value
    }

    @Test func everyMessageTwiceAndSomeOvertakenGiveTheSamePredictions() async throws {
        let frames = 300
        let plain = try await predictions(try await TestPipeline(), frames: frames)
        let broker = try TestBroker()
        let proxy = try ChaosProxy(
            broker: MQTTAddress(broker.url),
            plan: FaultPlan(
                seed: 11,
                faults: [
                    Fault(.duplicate, topics: ["lcp/+/features/#"], direction: .toBroker),
                    Fault(
                        .reorder(distance: 3, patience: 200), topics: ["lcp/+/features/#"], direction: .toBroker,
                        probability: 0.1),
                ]))
        let pipeline = try await TestPipeline(broker: broker) { _ in proxy.url }
        let faulted = try await predictions(pipeline, frames: frames)
        #expect(faulted.count == frames && Set(faulted.map(\.frame)).count == frames)
        #expect(faulted.allSatisfy { $0.missing.isEmpty } && plain.count == frames)
        let expected = Dictionary(uniqueKeysWithValues: plain.map { ($0.frame, $0.probabilities) })
        #expect(faulted.allSatisfy { expected[$0.frame] == $0.probabilities })
        let counters = proxy.counters.toBroker
        #expect(counters.duplicated == 4 * UInt64(frames) && counters.reordered > 60)
        // Branches that overtake each other do not change the order of a sensor's predictions.
        #expect(faulted.map(\.frame) == plain.map(\.frame))
    }

    @Test func aBrokerThatIsKilledAndStartedAgainFindsItsPipeline() async throws {
        let pipeline = try await TestPipeline()
        kill(pipeline.broker.broker.process.processID, SIGKILL)
        try await wait("the broker is gone") { pipeline.broker.broker.process.poll() != nil }
        try await Task.sleep(for: .seconds(1))
        let broker = try TestBroker(port: pipeline.broker.broker.port)
        let watcher = try await broker.connect()
        let statuses = try await watcher.subscribe(to: pipeline.topics.statuses)
        // Said again by all, because the broker has forgotten everything.
        var ready: Set<String> = []
        while ready.count < 5 {
            if let status = RoleStatus(try await next(statuses).payload), status.state == .ready {
                ready.insert(status.id)
            }
        }
        try await wait("the test's own client is back") { pipeline.client.isConnected }
        let seen = try await predictions(pipeline, frames: 50)
        let found = seen.map { $0.frame + ($0.missing.isEmpty ? "" : " without \($0.missing)") }
        #expect(found == (0..<50).map { "\($0)" }, "\(found)")
        withExtendedLifetime(broker) {}
    }

    @Test func aWorkerThatIsPausedIsMissedAndComesBack() async throws {
        let pipeline = try await TestPipeline(deadline: 100)
        let worker = pipeline.worker(2).processID
        let seen = try await predictions(pipeline, frames: 400, pause: .milliseconds(10)) { number in
            if number == 100 { kill(worker, SIGSTOP) }
            if number == 250 { kill(worker, SIGCONT) }
        }
        expectOnce(seen, frames: 400, missing: 2)
    }

    @Test func aWorkerBehindAPartitionIsMissedAndComesBack() async throws {
        let broker = try TestBroker()
        let proxy = try ChaosProxy(broker: MQTTAddress(broker.url))
        let pipeline = try await TestPipeline(deadline: 100, broker: broker) { $0 == "w2" ? proxy.url : nil }
        let seen = try await predictions(pipeline, frames: 400, pause: .milliseconds(10)) { number in
            if number == 100 { proxy.pause() }
            if number == 250 { proxy.resume() }
        }
        expectOnce(seen, frames: 400, missing: 2)
    }

    /// Every frame has one prediction; one branch is missing for a while and no other ever.
    private func expectOnce(_ seen: [Prediction], frames: Int, missing branch: Int) {
        #expect(seen.count == frames && Set(seen.map(\.frame)).count == frames)
        let missing = seen.filter { !$0.missing.isEmpty }
        #expect(missing.count > 20 && missing.count < frames - 50)
        #expect(missing.allSatisfy { $0.missing == [branch] })
        #expect(seen.first?.missing == [] && seen.last?.missing == [])
    }
}
