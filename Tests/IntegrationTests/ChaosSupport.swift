import FaultInjection
import Foundation
import LCPWire
import MQTT
import Platform
import Testing

/// A mosquitto, and a proxy before it.
struct Chaos {
    let broker: TestBroker
    let proxy: ChaosProxy

    init(_ faults: [Fault] = [], partitions: [FaultPlan.Partition] = [], seed: UInt64 = 1) throws {
        broker = try TestBroker()
        proxy = try ChaosProxy(
            broker: MQTTAddress(broker.url), plan: FaultPlan(seed: seed, faults: faults, partitions: partitions))
    }

    /// A client that goes through the proxy.
    func connect(_ change: (inout MQTTConfiguration) -> Void = { _ in }) async throws -> MQTTClient {
        try await broker.connect {
            $0.address = proxy.address
            $0.reconnectDelay = .milliseconds(20) ... .milliseconds(100)
            change(&$0)
        }
    }
}

/// All payloads until the one that says that it is the last.
func collect(_ messages: MQTTSubscription) async throws -> [[UInt8]] {
    var payloads: [[UInt8]] = []
    while true {
        let payload = try await next(messages).payload
        if payload == Array("last".utf8) { return payloads }
        payloads.append(payload)
    }
}

/// Waits until something is so.
func wait(_ what: String, _ isSo: () throws -> Bool) async throws {
    for _ in 0..<3000 {
        if try isSo() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("\(what): not after 30 s")
}
