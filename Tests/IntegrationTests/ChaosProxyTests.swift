import FaultInjection
import Foundation
import LCPWire
import MQTT
import Platform
import Testing

@Suite struct ChaosProxyTests {
    @Test(arguments: [MQTTConfiguration.ProtocolVersion.v5, .v311])
    func withoutFaultsNobodySeesTheProxy(version: MQTTConfiguration.ProtocolVersion) async throws {
        let chaos = try Chaos()
        let client = try await chaos.connect { $0.protocolVersion = version }
        let large = (0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 8) }
        for qos in QoS.allCases {
            let messages = try await client.subscribe(to: "t/\(qos.rawValue)", options: .init(qos: qos))
            for number in 0..<50 as Range<UInt8> {
                try await client.publish([number], to: "t/\(qos.rawValue)", qos: qos)
            }
            for number in 0..<50 as Range<UInt8> { #expect(try await next(messages).payload == [number]) }
            for _ in 0..<5 {
                try await client.publish(large, to: "t/\(qos.rawValue)", qos: qos)
                #expect(try await next(messages).payload == large)
            }
        }
        await client.close()
        try await wait("no connection is open") { chaos.proxy.counters.open == 0 }
        let counters = chaos.proxy.counters
        #expect(counters.connections == 1 && counters.cut == 0 && counters.refused == 0 && counters.opaque == 0)
        #expect(counters.toBroker.publishes == 165 && counters.fromBroker.publishes == 165)
        #expect(counters.toBroker.bytes > 15 << 20 && counters.fromBroker.bytes > 15 << 20)
    }

    @Test func aUnixSocketIsMadeAndTakenAway() async throws {
        let broker = try TestBroker()
        let path = "/tmp/lcp-test-\(UUID().uuidString.prefix(8)).socket"
        for _ in 0..<2 {
            let proxy = try ChaosProxy(broker: MQTTAddress(broker.url), listen: .unix(path: path))
            #expect(FileManager.default.fileExists(atPath: path))
            let client = try await broker.connect { $0.address = proxy.address }
            try await client.publish([1], to: "t", qos: .atLeastOnce)
            // One that is in use stays.
            #expect(throws: ChaosError.self) {
                try ChaosProxy(broker: MQTTAddress(broker.url), listen: .unix(path: path))
            }
            await client.close()
            proxy.close()
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test(arguments: [QoS.atMostOnce, .atLeastOnce])
    func faultsAreMadeAndCounted(qos: QoS) async throws {
        // At QoS 1 nothing is dropped, because its sender would wait for the acknowledgement.
        let chaos = try Chaos([
            Fault(.drop, topics: ["faulty"], direction: .toBroker, probability: qos == .atMostOnce ? 0.2 : 0),
            Fault(.duplicate, topics: ["faulty"], direction: .toBroker, probability: 0.3),
            Fault(.reorder(distance: 2, patience: 200), topics: ["faulty"], direction: .toBroker, probability: 0.1),
            Fault(.damage(bytes: 1, wholePacket: false), topics: ["faulty"], direction: .toBroker, probability: 0.1),
        ])
        let receiver = try await chaos.broker.connect()
        let messages = try await receiver.subscribe(
            to: "#", options: .init(qos: qos), buffer: .init(maximumMessages: 10_000, maximumBytes: 16 << 20))
        let sender = try await chaos.connect()
        let payloads = (0..<1000).map { number in Array("message \(number) message \(number)".utf8) }
        // Not one after the other, or nothing could overtake.
        for (number, payload) in payloads.enumerated() {
            try payload.withUnsafeBytes { try sender.send($0, to: "faulty", qos: qos) }
            guard number % 50 == 49 else { continue }
            // Nor too many at once, or the broker's queue for the receiver is full.
            try await wait("the receiver is not far behind") {
                let counters = chaos.proxy.counters.toBroker
                return counters.publishes > number
                    && receiver.statistics.messagesReceived + 64 > counters.publishes + counters.duplicated
                        - counters.dropped
            }
        }
        try await wait("all are acknowledged") { sender.inFlightBytes == 0 }
        // The last to be overtaken have gone on by themselves.
        try await Task.sleep(for: .milliseconds(400))
        try await sender.publish(Array("last".utf8), to: "sound", qos: .atLeastOnce)
        let received = try await collect(messages)
        let counters = chaos.proxy.counters.toBroker
        #expect(counters.publishes == 1001)
        #expect(received.count == 1000 - Int(counters.dropped) + Int(counters.duplicated))
        #expect(qos == .atMostOnce ? (150...250).contains(counters.dropped) : counters.dropped == 0)
        #expect((180...360).contains(counters.duplicated) && (50...150).contains(counters.reordered))
        let known = Set(payloads)
        let damaged = Set(received.filter { !known.contains($0) })
        // Two that were damaged alike count once here, and copies have their message's damage.
        #expect(damaged.count <= counters.damaged && damaged.count >= Int(counters.damaged) * 9 / 10)
        #expect((50...150).contains(counters.damaged))
        let order = received.compactMap { payloads.firstIndex(of: $0) }
        #expect(zip(order, order.dropFirst()).contains { $0 > $1 })
        #expect(sender.statistics.reconnects == 0 && receiver.statistics.reconnects == 0)
        if qos == .atLeastOnce {
            #expect(chaos.proxy.counters.fromBroker.acknowledgementsKept == counters.duplicated)
        }
    }

    @Test func copiesToASubscriberAtQoS1() async throws {
        let chaos = try Chaos([Fault(.duplicate, direction: .fromBroker)])
        let receiver = try await chaos.connect()
        let messages = try await receiver.subscribe(to: "t", options: .init(qos: .atLeastOnce))
        let sender = try await chaos.broker.connect()
        for number in 0..<200 as Range<UInt8> { try await sender.publish([number], to: "t", qos: .atLeastOnce) }
        for number in 0..<200 as Range<UInt8> {
            for _ in 0..<2 { #expect(try await next(messages).payload == [number]) }
        }
        try await wait("the copies are acknowledged") { chaos.proxy.counters.toBroker.acknowledgementsKept == 200 }
        #expect(receiver.statistics.reconnects == 0)
    }

    @Test func theSameSeedMakesTheSameFaults() async throws {
        func received(seed: UInt64) async throws -> [[UInt8]] {
            let chaos = try Chaos(
                [
                    Fault(.drop, topics: ["faulty"], direction: .toBroker, probability: 0.3),
                    Fault(
                        .damage(bytes: 2, wholePacket: false), topics: ["faulty"], direction: .toBroker,
                        probability: 0.3),
                ], seed: seed)
            let receiver = try await chaos.connect { $0.clientID = "receiver" }
            let messages = try await receiver.subscribe(to: "#")
            let sender = try await chaos.connect { $0.clientID = "sender" }
            for number in 0..<100 as Range<UInt8> { try await sender.publish([number, number, number], to: "faulty") }
            try await sender.publish(Array("last".utf8), to: "sound")
            return try await collect(messages)
        }
        let first = try await received(seed: 5)
        #expect((50...90).contains(first.count))
        #expect(try await received(seed: 5) == first)
        #expect(try await received(seed: 6) != first)
    }

    @Test func faultsComeAndGoWhileItRuns() async throws {
        let chaos = try Chaos()
        let client = try await chaos.connect()
        let messages = try await client.subscribe(to: "t")
        let fault = try chaos.proxy.start(Fault(.delay(milliseconds: 300, jitter: 0), direction: .toBroker))
        let start = ContinuousClock.now
        try await client.publish([1], to: "t")
        #expect(try await next(messages).payload == [1])
        #expect(ContinuousClock.now - start >= .milliseconds(299))
        chaos.proxy.stop(fault)
        let drop = try chaos.proxy.start(Fault(.drop, topics: ["t"], direction: .toBroker, limit: 2))
        for number in 2..<6 as Range<UInt8> { try await client.publish([number], to: "t") }
        #expect(try await next(messages).payload == [4])
        #expect(try await next(messages).payload == [5])
        chaos.proxy.stop(drop)
        let counters = chaos.proxy.counters.toBroker
        #expect(counters.dropped == 2 && counters.delayed == 1)
        #expect(throws: ChaosError.self) { try chaos.proxy.start(Fault(.drop, probability: 2)) }
    }

    @Test func aSlowLineIsSlowAndLosesNothing() async throws {
        let broker = try TestBroker()
        let proxy = try ChaosProxy(broker: MQTTAddress(broker.url), plan: FaultPlan(bandwidth: 1_000_000))
        let client = try await broker.connect { $0.address = proxy.address }
        let messages = try await client.subscribe(to: "t")
        let payload = (0..<500_000).map { UInt8(truncatingIfNeeded: $0 / 251) }
        let start = ContinuousClock.now
        try await client.publish(payload, to: "t")
        #expect(try await next(messages).payload == payload)
        // Half a second there and half a second back, which overlap as little as a broker that waits for the whole message.
        #expect(ContinuousClock.now - start > .milliseconds(800))
    }

    @Test func whatWaitsIsBounded() async throws {
        let broker = try TestBroker()
        var options = ChaosProxy.Options()
        options.maximumQueuedBytes = 4 << 20
        let proxy = try ChaosProxy(broker: MQTTAddress(broker.url), options: options)
        let sender = try await broker.connect { $0.address = proxy.address }
        let receiver = try await broker.connect()
        let messages = try await receiver.subscribe(to: "t", buffer: .init(maximumBytes: 128 << 20))
        proxy.pause()
        let payload = [UInt8](repeating: 7, count: 1 << 20)
        for _ in 0..<60 { try payload.withUnsafeBytes { try sender.send($0, to: "t") } }
        try await Task.sleep(for: .milliseconds(500))
        // The proxy took its share and then read no more: the rest waits where it came from.
        #expect(sender.inFlightBytes > 20 << 20 && proxy.counters.toBroker.bytes < 30 << 20)
        proxy.resume()
        for _ in 0..<60 { #expect(try await next(messages).payload.count == payload.count) }
    }

    @Test func aPartitionHeals() async throws {
        let chaos = try Chaos(partitions: [.init(start: 1, duration: 1.5, period: 4)])
        // Nothing may be late enough for the keepalive, whatever else the machine does.
        let client = try await chaos.connect {
            $0.clientID = "here"
            $0.keepalive = 600
        }
        let direct = try await chaos.broker.connect()
        let messages = try await direct.subscribe(to: "t", options: .init(qos: .atLeastOnce))
        try await client.publish([1], to: "t", qos: .atLeastOnce)
        #expect(try await next(messages).payload == [1])
        // Somewhere in the partition the acknowledgements stop, and after it they come.
        var longest = Duration.zero
        for _ in 0..<2000 {
            let start = ContinuousClock.now
            try await client.publish([2], to: "t", qos: .atLeastOnce)
            longest = max(longest, ContinuousClock.now - start)
            if longest > .seconds(1) { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(longest > .seconds(1) && client.statistics.reconnects == 0)
        // By hand, and for others only: nothing is felt.
        chaos.proxy.pause(clients: ["there"])
        try await client.publish([3], to: "t", qos: .atLeastOnce)
        chaos.proxy.pause(clients: ["he*"])
        async let late: Void = client.publish([4], to: "t", qos: .atLeastOnce)
        try await Task.sleep(for: .milliseconds(300))
        #expect(client.inFlightBytes > 0)
        chaos.proxy.resume()
        try await late
        #expect(client.statistics.reconnects == 0 && chaos.proxy.counters.cut == 0)
    }

    @Test func connectionsThatAreCutComeBack() async throws {
        let chaos = try Chaos()
        let client = try await chaos.connect { $0.clientID = "c" }
        let messages = try await client.subscribe(to: "t", options: .init(qos: .atLeastOnce))
        for round in 1...3 as ClosedRange<UInt8> {
            chaos.proxy.cut(clients: ["c"])
            try await wait("the connection is lost and back") {
                client.statistics.reconnects == UInt64(round) && client.isConnected
            }
            try await client.publish([round], to: "t", qos: .atLeastOnce)
            #expect(try await next(messages).payload == [round])
        }
        #expect(chaos.proxy.counters.cut == 3 && chaos.proxy.counters.connections == 4)
    }

    @Test func aPartitionThatCutsRefusesUntilItIsOver() async throws {
        let chaos = try Chaos(partitions: [.init(start: 1, duration: 1.5, period: 4, mode: .cut)])
        let client = try await chaos.connect()
        let messages = try await client.subscribe(to: "t", options: .init(qos: .atLeastOnce))
        try await wait("the connection is lost") { !client.isConnected }
        try await client.publish([1], to: "t", qos: .atLeastOnce)
        #expect(try await next(messages).payload == [1])
        #expect(chaos.proxy.counters.cut > 0 && chaos.proxy.counters.refused > 0)
    }

    @Test func aBrokerThatIsKilledAndStartedAgain() async throws {
        var broker: TestBroker? = try TestBroker()
        let port = try #require(broker?.broker.port)
        let proxy = try ChaosProxy(broker: .tcp(host: "127.0.0.1", port: port))
        var configuration = MQTTConfiguration(address: proxy.address)
        configuration.reconnectDelay = .milliseconds(20) ... .milliseconds(100)
        let client = try MQTTClient(configuration)
        try await client.connect()
        let messages = try await client.subscribe(to: "t", options: .init(qos: .atLeastOnce))
        kill(try #require(broker).broker.process.processID, SIGKILL)
        try await wait("the connection is lost") { !client.isConnected }
        async let late: Void = client.publish([1], to: "t", qos: .atLeastOnce)
        try await Task.sleep(for: .milliseconds(500))
        #expect(proxy.counters.refused > 0)
        broker = nil
        broker = try TestBroker(port: port)
        try await late
        #expect(try await next(messages).payload == [1])
        _ = broker
    }

    /// Bytes of strangers on both sides: nothing crashes, nothing stays open.
    @Test func strangersAreEndured() async throws {
        let chaos = try Chaos([Fault(.duplicate), Fault(.damage(bytes: 9, wholePacket: true))])
        var random = SeededGenerator(seed: 3)
        guard case .tcp(_, let port) = chaos.proxy.address else { return }
        for round in 0..<100 {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let result = withUnsafeBytes(of: &address) {
                connect(descriptor, $0.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t($0.count))
            }
            #expect(result == 0)
            var bytes = (0..<random.index(2000)).map { _ in UInt8(random.index(256)) }
            if round % 2 == 0, !bytes.isEmpty { bytes[0] = 0x10 }
            _ = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if round % 3 == 0 { shutdown(descriptor, Int32(SHUT_WR)) }
            close(descriptor)
        }
        try await wait("no connection is open") {
            chaos.proxy.counters.open == 0 && chaos.proxy.counters.connections == 100
        }
        #expect(chaos.proxy.counters.opaque > 20)
    }
}
