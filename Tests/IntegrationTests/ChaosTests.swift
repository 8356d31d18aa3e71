import FaultInjection
import Foundation
import LCPWire
import MQTT
import Platform
import Testing

/// A mosquitto, and a proxy before it.
private struct Chaos {
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
private func collect(_ messages: MQTTSubscription) async throws -> [[UInt8]] {
    var payloads: [[UInt8]] = []
    while true {
        let payload = try await next(messages).payload
        if payload == Array("last".utf8) { return payloads }
        payloads.append(payload)
    }
}

/// Waits until something is so.
private func wait(_ what: String, _ isSo: () throws -> Bool) async throws {
    for _ in 0..<3000 {
        if try isSo() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("\(what): not after 30 s")
}

/// Ends a broker by force; what started it ends by itself.
private func killMosquitto(of broker: TestBroker) {
    let parent = broker.broker.process.processID
    let children = CommandTests.processes(with: "mosquitto").filter {
        FileManager.default.contents(atPath: "/proc/\($0)/status").map { String(decoding: $0, as: UTF8.self) }?
            .contains("PPid:\t\(parent)\n") == true
    }
    #expect(children.count == 1)
    for process in children { kill(process, SIGKILL) }
}

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
        killMosquitto(of: try #require(broker))
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
        killMosquitto(of: pipeline.broker)
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
        #expect(seen.map(\.frame) == (0..<50).map { "\($0)" } && seen.allSatisfy { $0.missing.isEmpty })
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

@Suite struct ChaosCommandTests {
    @Test func theProxyPrintsItsCountersWhenItIsStopped() async throws {
        let broker = try TestBroker()
        let path = "/tmp/lcp-test-\(UUID().uuidString.prefix(8)).socket"
        let output = open("/tmp", Int32(O_RDWR) | Int32(__O_TMPFILE) | O_DIRECTORY | O_CLOEXEC, 0o600)
        defer { close(output) }
        let proxy = try ChildProcess(
            executable: Repository.lcp,
            arguments: [
                "chaos", "proxy", "--broker", broker.url, "--listen", "unix:\(path)", "--duplicate", "1", "--direction",
                "in",
                "--topics", "a/+", "b/#", "--partition", "500,1", "--bandwidth", "10MB", "--json",
            ], output: output)
        try await wait("the socket is there") { FileManager.default.fileExists(atPath: path) }
        let client = try await broker.connect { $0.address = .unix(path: path) }
        let messages = try await client.subscribe(to: "#")
        for topic in ["a/1", "b/2", "c"] { try await client.publish(Array(topic.utf8), to: topic) }
        for topic in ["a/1", "a/1", "b/2", "b/2", "c"] { #expect(try await next(messages).topic == topic) }
        #expect(proxy.stop() == 0)
        var text = [UInt8](repeating: 0, count: 4096)
        let count = pread(output, &text, text.count, 0)
        let counters = try JSONDecoder().decode(ChaosCounters.self, from: Data(text.prefix(max(0, count))))
        #expect(counters.toBroker.duplicated == 2 && counters.fromBroker.publishes == 5 && counters.connections == 1)
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func anInterruptedProxyLeavesNoSocket(signal: Int32) async throws {
        let path = "/tmp/lcp-test-\(UUID().uuidString.prefix(8)).socket"
        let proxy = try ChildProcess(
            executable: Repository.lcp, arguments: ["chaos", "proxy", "--listen", "unix:\(path)", "--drop", "0.5"])
        try await wait("the socket is there") { FileManager.default.fileExists(atPath: path) }
        kill(proxy.processID, signal)
        try await wait("it ends") { proxy.poll() != nil }
        #expect(proxy.poll() == 0 && !FileManager.default.fileExists(atPath: path))
    }

    /// Also where the command itself is killed, what it stopped goes on.
    @Test(arguments: [SIGINT, SIGTERM, SIGKILL])
    func aPausedProcessIsContinuedInAnyCase(signal: Int32) async throws {
        let victim = try ChildProcess(executable: "/bin/sleep", arguments: ["100"])
        defer { victim.stop() }
        func state() -> Character? {
            let text = try? String(contentsOfFile: "/proc/\(victim.processID)/stat", encoding: .utf8)
            return text?.split(separator: ")").last?.dropFirst().first
        }
        let chaos = try ChildProcess(
            executable: Repository.lcp,
            arguments: ["chaos", "process", "--pid", "\(victim.processID)", "--signal", "pause", "--for", "1000"])
        try await wait("it is paused") { state() == "T" }
        kill(chaos.processID, signal)
        try await wait("it is continued") { state() == "S" }
        try await wait("the command ends") { chaos.poll() != nil }
        #expect(chaos.poll() == (signal == SIGKILL ? 128 + SIGKILL : 0))
    }

    @Test func aDiskIsFilledAndEmptied() async throws {
        let folder = "/dev/shm"
        guard FileManager.default.isWritableFile(atPath: folder), let free = try? DiskFill.freeBytes(folder),
            free > 64 << 20
        else {
            print("SKIPPED: no \(folder) with room, so filling a disk is not tried")
            return
        }
        let outcome = try await run(
            Repository.lcp,
            [
                "chaos", "disk", "--folder", folder, "--leave", "\(free - (24 << 20))", "--most", "64MiB", "--for",
                "0.2",
            ])
        #expect(outcome.status == 0 && outcome.output.contains("gave it back"), "\(outcome.errors)")
    }

    @Test(arguments: [
        (["proxy", "--drop", "1.5"], "a probability is 0 to 1"),
        (["proxy", "--drop", "1", "--topics", "a#"], "no topic filter"),
        (["proxy", "--topics", "a"], "needs a fault"), (["proxy", "--jitter", "1"], "needs --delay"),
        (["proxy", "--partition", "5"], "two numbers"),
        (["proxy", "--partition", "5,6"], "less than the time to the next"), (["proxy", "--cut"], "needs --partition"),
        (["proxy", "--listen", "mqtts://127.0.0.1:0"], "the port is a number"),
        (["proxy", "--for", "0"], "--for is more"),
        (["proxy", "--plan", "/nowhere"], "cannot read /nowhere"),
        (["proxy", "--plan", "/etc/passwd"], "no fault plan"),
        (["proxy", "--listen", "unix:/nowhere/x"], "cannot listen on unix:/nowhere/x"),
        (["proxy", "--broker", "mqtt://nowhere.invalid"], "cannot find nowhere.invalid"),
        (["process", "--signal", "kill"], "--pid is missing"),
        (["process", "--pid", "1", "--signal", "kill"], "touched"),
        (["process", "--pid", "4194304", "--signal", "kill"], "there is no process"),
        (["process", "--pid", "2", "--signal", "pause"], "needs --for"),
        (["disk", "--folder", "/", "--leave", "1MB", "--for", "1"], "the system's own disk"),
        (["disk", "--folder", "/nowhere", "--leave", "1MB", "--for", "1"], "no folder"),
    ])
    func everyMistakeIsOneSentence(arguments: [String], words: String) async throws {
        let outcome = try await run(Repository.lcp, ["chaos"] + arguments, limit: .seconds(20))
        #expect(outcome.status != 0 && outcome.status < 128, "\(arguments): \(outcome.status)")
        #expect(outcome.errors.contains(words), "\(arguments): \(outcome.errors)")
        #expect(!outcome.errors.contains("Fatal error"))
    }
}
