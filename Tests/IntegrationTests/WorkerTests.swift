import LCPWire
import Foundation
import LCPModels
import LCPPipeline
import MQTT
import Testing

/// A worker in this process, and what it makes of what others say on the broker.
@Suite struct WorkerTests {
    /// What the worker says of itself, as it comes.
    static func wait(_ statuses: MQTTSubscription, for serves: [Int]) async throws {
        while true {
            let status = RoleStatus(try await next(statuses).payload)
            if status?.state == .ready, status?.serves == serves { return }
        }
    }

    @Test("A worker shares with others, and takes over the branches of one whose status was taken away")
    func forgetsWhoIsNotThere() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect()
        let topics = try Topics(pipeline: "worker")
        let bundle = try ModelBundle(path: "\(Repository.root.path)/Models/lenet-split2")
        var options = BranchWorker.Options()
        options.id = "w"
        let worker = try BranchWorker(
            PipelineConfiguration(mqtt: try broker.configuration(), pipeline: "worker"), bundle: bundle,
            options: options)
        let statuses = try await client.subscribe(to: topics.status(.worker, "w"))
        let run = Task { try await worker.run() }
        // Alone it has all, whatever it hears of itself.
        try await Self.wait(statuses, for: [0, 1])
        var ghost = RoleStatus(state: .ready, role: .worker, id: "ghost", birth: "b")
        (ghost.model, ghost.modelHash, ghost.branches) = (bundle.manifest.name, bundle.hash.description, 2)
        (ghost.claims, ghost.serves, ghost.pinned) = ([1], [1], false)
        let topic = topics.status(.worker, "ghost")
        try await client.publish(Array(try JSONEncoder().encode(ghost)), to: topic, qos: .atLeastOnce, retain: true)
        try await Self.wait(statuses, for: [0])
        try await client.publish([], to: topic, qos: .atLeastOnce, retain: true)
        try await Self.wait(statuses, for: [0, 1])
        run.cancel()
        try await run.value
        await client.close()
    }

    @Test("Frames that wait are computed together, and each is answered as if it were alone")
    func together() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect()
        let topics = try Topics(pipeline: "together")
        let bundle = try ModelBundle(path: "\(Repository.root.path)/Models/lenet-split2")
        let features = try await client.subscribe(
            to: topics.allFeatures, buffer: .init(maximumMessages: 1000, maximumBytes: 64 << 20))
        var answers: [[Int: [UInt8]]] = []
        for batch in [1, 8] {
            var options = BranchWorker.Options()
            (options.id, options.branches, options.longestInline) = ("w", [1], .zero)
            (options.batch, options.threads) = (batch, 2)
            var configuration = PipelineConfiguration(mqtt: try broker.configuration(), pipeline: "together")
            (configuration.policy, configuration.queueLimit) = (.all, 1000)
            let worker = try BranchWorker(configuration, bundle: bundle, options: options)
            let statuses = try await client.subscribe(to: topics.status(.worker, "w"))
            let run = Task { try await worker.run() }
            try await Self.wait(statuses, for: [1])
            statuses.unsubscribe()
            for number in UInt64(0)..<100 {
                try await client.publish(try PipelineTests.input(number).message, to: topics.input("cam"))
            }
            var found: [Int: [UInt8]] = [:]
            while found.count < 100 {
                let message = try await next(features)
                let share = try message.payload.withUnsafeBytes { bytes in
                    let header = try TensorMessage.decode(bytes)
                    return (header.frame, Array(bytes[header.size...]))
                }
                found[Int(share.0)] = share.1
            }
            answers.append(found)
            run.cancel()
            try await run.value
        }
        #expect(answers[0] == answers[1])
        await client.close()
    }
}
