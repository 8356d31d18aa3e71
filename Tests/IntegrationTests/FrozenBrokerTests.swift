import Foundation
import LCPLocal
import LCPWire
import MQTT
import Platform
import Testing

/// A broker that keeps its connections and does nothing: stopped by a signal, as a machine that hangs.
@Suite struct FrozenBrokerTests {
    let broker: BrokerProcess
    let client: MQTTClient

    init() async throws {
        broker = try BrokerProcess.start(configuration: try BrokerProcess.localConfiguration())
        var configuration = MQTTConfiguration(address: try MQTTAddress(broker.url))
        // Longer than the tests may take: it is not what ends a wait.
        configuration.keepalive = 600
        client = try MQTTClient(configuration)
        try await client.connect()
    }

    private func freeze() {
        kill(broker.process.processID, SIGSTOP)
        var status: Int32 = 0
        #expect(waitpid(broker.process.processID, &status, WUNTRACED) == broker.process.processID)
    }

    private func end() async {
        kill(broker.process.processID, SIGCONT)
        await client.close()
        broker.process.stop()
    }

    /// A task on the event loop's thread runs until it waits before the next job of that thread.
    private func onLoop() async { await withCheckedContinuation { next in client.eventLoop.execute { next.resume() } } }

    @Test(
        "A subscription that the broker does not acknowledge ends when its task is cancelled",
        .timeLimit(.minutes(1)))
    func cancelledSubscription() async throws {
        freeze()
        let client = client
        let subscribing = Task(executorPreference: client.eventLoop) { try await client.subscribe(to: "a") }
        for _ in 0..<3 { await onLoop() }
        subscribing.cancel()
        let error = await #expect(throws: MQTTError.self) { _ = try await subscribing.value }
        #expect(error?.code == .closed && client.isConnected)
        await end()
    }

    @Test("The end of a subscription waits for a broker that hangs as long as it is told", .timeLimit(.minutes(1)))
    func endedSubscription() async throws {
        let subscription = try await client.subscribe(to: "a")
        freeze()
        await subscription.end(within: .milliseconds(100))
        #expect(client.isConnected)
        var iterator = subscription.makeAsyncIterator()
        #expect(try await iterator.next() == nil)
        await end()
    }

    @Test("A worker stops at the first signal, though its broker hangs", .timeLimit(.minutes(1)))
    func worker() async throws {
        await end()
        let frozen = try TestBroker()
        let client = try await frozen.connect()
        let statuses = try await client.subscribe(to: "lcp/frozen/status/+/+")
        let worker = try Spawned(
            Repository.lcp, ["worker", "--broker", frozen.url, "--pipeline", "frozen", "--model", "lenet-split2"])
        while RoleStatus(try await next(statuses).payload)?.serves?.count != 2 {}
        let broker = frozen.broker.process.processID
        kill(broker, SIGSTOP)
        defer { kill(broker, SIGCONT) }
        kill(worker.identifier, SIGTERM)
        #expect(await worker.wait() == 0)
        // It did not wait until its keepalive noticed.
        #expect(!(await worker.errors.text()).contains("lost"))
    }
}
