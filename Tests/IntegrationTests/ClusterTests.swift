import FaultInjection
import Foundation
import LCPLocal
import LCPWire
import MQTT
import Platform
import Synchronization
import Testing

/// What a cluster's nodes do not do for each other, seen on one broker: it takes away what it has kept, or what is on its way.
@Suite struct ClusterTests {
    @Test("A sensor whose predictions were lost on their way asks which frames were answered, and ends well")
    func lostPredictions() async throws {
        let broker = try TestBroker()
        let proxy = try ChaosProxy(
            broker: MQTTAddress(broker.url),
            plan: FaultPlan(
                seed: 3, faults: [Fault(.drop, topics: ["lcp/+/prediction/+"], direction: .fromBroker, limit: 10)]))
        let pipeline = try await TestPipeline(arguments: ["--qos", "1"], broker: broker)
        let predictions = try await pipeline.client.subscribe(
            to: pipeline.topics.predictions, options: .init(qos: .atLeastOnce))
        let sensor = try pipeline.launcher.start(
            .sensor, "cam", ["--source", "drawn", "--rate", "50", "--count", "30", "--qos", "1"], url: proxy.url)
        try await wait("the sensor has ended") { sensor.poll() != nil }
        #expect(sensor.poll() == 0 && proxy.counters.fromBroker.dropped == 10)
        var seen: [String] = []
        while seen.count < 30, let found = Prediction(try await next(predictions).payload) { seen.append(found.frame) }
        #expect(Set(seen).count == 30)
    }

    @Test("A device whose node has not kept the model gets it from those who have it")
    func modelOfAnotherNode() async throws {
        let broker = try TestBroker()
        let nobody = try BrokerProcess.freePort(host: "127.0.0.1")
        let nodes = "\(broker.url),127.0.0.1:\(nobody)"
        let cache = NSTemporaryDirectory() + "lcp-cluster-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: cache) }
        let client = try await broker.connect()
        let topics = try Topics(pipeline: "c")
        let statuses = try await client.subscribe(to: topics.statuses)
        func start(_ role: Role, _ name: String) throws -> ChildProcess {
            try RoleLauncher(executable: Repository.lcp, url: nodes, pipeline: "c", cache: "\(cache)/\(name)")
                .start(role, name)
        }
        var roles = [try start(.worker, "w"), try start(.aggregator, "a")]
        defer { for role in roles { role.stop() } }
        let push = try await run(
            Repository.lcp, ["model", "push", "lenet-split2", "--pipeline", "c", "--broker", nodes, "--wait", "30"])
        #expect(push.status == 0, "\(push.errors)")

        // The broker forgets the model, as a node that never had it, and says so to nobody who comes.
        let kept = try await client.subscribe(to: "\(topics.root)/model/#")
        await kept.end()
        var forgotten = 0
        for try await message in kept where message.retained {
            try await client.publish([], to: message.topic, qos: .atLeastOnce, retain: true)
            forgotten += 1
        }
        #expect(forgotten == 5)
        roles.append(try start(.worker, "late"))
        while true {
            guard let status = RoleStatus(try await next(statuses).payload), status.id == "late", status.state == .ready
            else { continue }
            #expect(status.model == "lenet-split2")
            break
        }
    }

    @Test("A check waits for a worker whose node has kept nothing of it, and who answers a second later")
    func lateAnswer() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect()
        let topics = try Topics(pipeline: "c")
        let calls = try await client.subscribe(to: topics.call)
        let check = try Spawned(Repository.lcp, ["status", "--check", "--broker", broker.url, "--pipeline", "c"])
        _ = try await next(calls)
        var aggregator = RoleStatus(state: .ready, role: .aggregator, id: "a", birth: "1")
        (aggregator.branches, aggregator.modelHash) = (1, "1")
        try await client.publish(aggregator.json, to: topics.status(.aggregator, "a"))
        try await Task.sleep(for: .seconds(1))
        var worker = RoleStatus(state: .ready, role: .worker, id: "w", birth: "1")
        (worker.branches, worker.serves, worker.modelHash) = (1, [0], "1")
        try await client.publish(worker.json, to: topics.status(.worker, "w"))
        let (status, line) = (await check.wait(), await check.output.text())
        #expect(status == 0 && line.contains("is well"), "\(line)")
        await client.close()
    }

    @Test(
        "Without its quorum a cluster is no broker, which is said in one sentence; who waits goes on when it is one again"
    )
    func noQuorum() async throws {
        let broker = try TestBroker()
        let port = try #require(broker.url.split(separator: ":").last.flatMap { Int($0) })
        let hasQuorum = Flag()
        // Two nodes that live and take nobody in, as RabbitMQ's without the third: the server is unavailable.
        let nodes = try (0..<2).map { _ in
            try PickyProxy(broker: port) { bytes in
                guard !hasQuorum.isSet, bytes.first == 0x10 else { return .pass }
                return .answer(bytes.contains("MQTT\u{5}") ? [0x20, 3, 0, 0x88, 0] : [0x20, 2, 0, 3])
            }
        }
        defer { for node in nodes { node.close() } }
        let dead = try BrokerProcess.freePort(host: "127.0.0.1")
        let url = (nodes.map(\.url) + ["mqtt://127.0.0.1:\(dead)"]).joined(separator: ",")
        for command in [["status"], ["model", "push", "lenet-split2"]] {
            let outcome = try await run(Repository.lcp, command + ["--broker", url, "--pipeline", "c"])
            #expect(outcome.status != 0 && outcome.output.isEmpty)
            #expect(outcome.errors.contains("none of the cluster's 3 nodes can be used"), "\(outcome.errors)")
            #expect(outcome.errors.split(separator: "\n").count == 1)
        }

        let before = nodes[0].connections
        let worker = try Spawned(Repository.lcp, ["worker", "--broker", url, "--pipeline", "c", "--name", "w"])
        defer { kill(worker.identifier, SIGKILL) }
        // Each time it looks first whether anybody is there.
        try await wait("the worker has tried them all, twice") { nodes[0].connections >= before + 4 }
        let client = try await broker.connect()
        let statuses = try await client.subscribe(to: try Topics(pipeline: "c").statuses(.worker))
        hasQuorum.set()
        while RoleStatus(try await next(statuses).payload)?.state != .ready {}
        kill(worker.identifier, SIGTERM)
        let log = String(decoding: worker.errors.readDataToEndOfFile(), as: UTF8.self)
        #expect(log.components(separatedBy: "none of the cluster's 3 nodes can be used").count == 2, "\(log)")
        #expect(log.contains("waiting for it"))
    }

    @Test(
        "A mistake with the cluster's script is told in one sentence",
        arguments: [
            (["stop"], "there is no cluster in"), (["kill", "2"], "there is no cluster in"), (["kill"], "which node?"),
            (["start", "--nodes", "x"], "x nodes: use 1 to 9"), (["start", "--port", "70000"], "70000 is no port"),
            (["begin"], "unknown argument begin"), (["start", "stop"], "start or stop?"),
            (["start", "--data"], "--data needs a value"), (["start", "--bind", "a;b"], "a;b is no address"),
        ])
    func mistakes(_ arguments: [String], sentence: String) async throws {
        let script = Repository.root.appendingPathComponent("Brokers/rabbitmq/cluster.sh").path
        let folder = NSTemporaryDirectory() + "lcp-none-\(UUID().uuidString)"
        let outcome = try await run(script, arguments + (arguments.last == "--data" ? [] : ["--data", folder]))
        #expect(outcome.status != 0 && outcome.output.isEmpty)
        #expect(outcome.errors.hasPrefix("cluster.sh: \(sentence)") && outcome.errors.split(separator: "\n").count == 1)
        #expect(!FileManager.default.fileExists(atPath: folder))
    }
}

private final class Flag: Sendable {
    private let value = Atomic(false)
    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
}
