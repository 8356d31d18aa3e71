import Foundation
import LCPLocal
import MQTT
import Platform
import Testing

@Suite struct ClientTests {
    @Test(arguments: [MQTTConfiguration.ProtocolVersion.v5, .v311])
    func messagesOfEveryQualityArrive(version: MQTTConfiguration.ProtocolVersion) async throws {
        let broker = try TestBroker()
        let client = try await broker.connect { $0.protocolVersion = version }
        for qos in QoS.allCases {
            let messages = try await client.subscribe(to: "t/\(qos.rawValue)/+", options: .init(qos: qos))
            for number in 0..<50 { try await client.publish([UInt8(number)], to: "t/\(qos.rawValue)/x", qos: qos) }
            for number in 0..<50 {
                let message = try await next(messages)
                #expect(message.payload == [UInt8(number)] && message.qos == qos && !message.retained)
            }
        }
        #expect(client.inFlightBytes == 0)
        #expect(client.statistics.messagesSent == 150 && client.statistics.messagesReceived == 150)
        await client.close()
    }

    @Test func propertiesTravel() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect()
        let messages = try await client.subscribe(to: "p")
        var properties = MQTTProperties()
        properties.contentType = "application/json"
        properties.responseTopic = "answers"
        properties.correlationData = [1, 2, 0, 255]
        properties.messageExpiry = 100
        properties.userProperties = [.init(name: "a", value: "1"), .init(name: "a", value: "ü")]
        try await client.publish([], to: "p", qos: .atLeastOnce, properties: properties)
        var received = try #require(try await next(messages).properties)
        #expect((99...100).contains(received.messageExpiry ?? 0))
        received.messageExpiry = 100
        #expect(received == properties)
        // A stranger's ten thousand properties are not kept.
        var flood = MQTTProperties()
        flood.userProperties = (0..<10_000).map { .init(name: "name \($0)", value: "value") }
        try await client.publish([], to: "p", qos: .atLeastOnce, properties: flood)
        #expect(try await next(messages).properties?.userProperties.count == MQTTProperties.maximumUserProperties)
    }

    @Test func overlappingSubscriptionsEachGetTheirOwn() async throws {
        let broker = try TestBroker()
        for version in [MQTTConfiguration.ProtocolVersion.v5, .v311] {
            let client = try await broker.connect { $0.protocolVersion = version }
            let all = try await client.subscribe(to: "a/#")
            let one = try await client.subscribe(to: "a/b")
            let shared = try await client.subscribe(to: "$share/g/c/+")
            try await client.publish([1], to: "a/b")
            try await client.publish([2], to: "c/d")
            #expect(try await next(all).payload == [1])
            #expect(try await next(one).payload == [1])
            #expect(try await next(shared).payload == [2])
            await client.close()
        }
    }

    @Test func retainedMessagesAndUnsubscribing() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect()
        try await client.publish([7], to: "r", qos: .atLeastOnce, retain: true)
        let messages = try await client.subscribe(to: "r")
        let message = try await next(messages)
        #expect(message.retained && message.payload == [7])
        messages.unsubscribe()
        for try await _ in messages { Issue.record("a message came after the end") }
        let none = try await client.subscribe(to: "r", options: .init(receivesRetained: false))
        try await client.publish([8], to: "r")
        #expect(try await next(none).payload == [8])
    }

    @Test("A consumer has several filters, which come and go, and loses nothing that is on its way when it ends")
    func severalFilters() async throws {
        let broker = try TestBroker()
        for version in [MQTTConfiguration.ProtocolVersion.v5, .v311] {
            let client = try await broker.connect { $0.protocolVersion = version }
            let other = try await client.subscribe(to: "lane/1")
            let messages = try await client.subscribe(to: "lane/0")
            try await messages.add("lane/1")
            for lane in 0..<2 { try await client.publish([UInt8(lane)], to: "lane/\(lane)") }
            let found = [try await next(messages).payload, try await next(messages).payload]
            #expect(found == [[0], [1]])
            #expect(try await next(other).payload == [1])
            messages.remove("lane/1")
            for lane in [1, 0] { try await client.publish([UInt8(lane)], to: "lane/\(lane)") }
            #expect(try await next(messages).payload == [0], "what it gave up comes no more")
            #expect(try await next(other).payload == [1])
            try await messages.add("lane/2")
            try await client.publish([2], to: "lane/2", qos: .atLeastOnce)
            await messages.end()
            #expect(try await next(messages).payload == [2], "what was on its way comes")
            for try await _ in messages { Issue.record("a message came after the end") }
            await client.close()
        }
    }

    @Test func theLastWillIsSentForALostClientOnly() async throws {
        let broker = try TestBroker()
        let watcher = try await broker.connect()
        let wills = try await watcher.subscribe(to: "will/+", options: .init(qos: .atLeastOnce))
        func make(_ name: String) async throws -> MQTTClient {
            try await broker.connect {
                $0.clientID = name
                $0.will = .init(topic: "will/\(name)", payload: Array(name.utf8))
            }
        }
        await (try await make("polite")).close()
        let robbed = try await make("robbed")
        // A second client with the same identifier throws the first out.
        let thief = try await broker.connect { $0.clientID = "robbed" }
        #expect(try await next(wills).topic == "will/robbed")
        await robbed.close()
        await thief.close()
    }

    @Test func aBrokerThatComesBackFindsEverythingAsItWas() async throws {
        var broker: TestBroker? = try TestBroker()
        let port = try #require(broker?.broker.port)
        let client = try #require(
            try await broker?.connect { $0.reconnectDelay = .milliseconds(20) ... .milliseconds(100) })
        let states = client.connectionStates
        let messages = try await client.subscribe(to: "back/+", options: .init(qos: .atLeastOnce))
        broker = nil
        var iterator = states.makeAsyncIterator()
        while let state = await iterator.next() { if case .waiting = state { break } }
        // QoS 0 has nowhere to go, QoS 1 waits.
        await #expect(throws: MQTTError.self) { try await client.publish([0], to: "back/0") }
        async let late: Void = client.publish([1], to: "back/1", qos: .atLeastOnce)
        broker = try TestBroker(port: port)
        try await late
        #expect(try await next(messages).payload == [1])
        try await client.publish([2], to: "back/2")
        #expect(try await next(messages).payload == [2])
        #expect(client.statistics.reconnects == 1)
        await client.close()
        _ = broker
    }

    /// Ended while messages are on their way: what the broker had sent is delivered, and nothing after that.
    @Test func aSubscriptionThatIsEndedLosesNothing() async throws {
        let broker = try TestBroker()
        let (sender, receiver) = (try await broker.connect(), try await broker.connect())
        let messages = try await receiver.subscribe(to: "t")
        for number in 0..<500 {
            try await sender.publish([UInt8(truncatingIfNeeded: number)], to: "t", qos: .atLeastOnce)
        }
        await messages.end()
        try await sender.publish([99], to: "t", qos: .atLeastOnce)
        var received: [UInt8] = []
        for try await message in messages { received.append(message.payload[0]) }
        #expect(received == (0..<500).map { UInt8(truncatingIfNeeded: $0) })
        // The same filter can be asked for again.
        let again = try await receiver.subscribe(to: "t")
        try await sender.publish([7], to: "t")
        #expect(try await next(again).payload == [7])
    }

    @Test func aSlowConsumerStopsTheReadingAndLosesNothing() async throws {
        let broker = try TestBroker()
        // Reading stops for half the keepalive at most, and a busy machine may take longer than that of a default one.
        let slow = try await broker.connect { $0.keepalive = 600 }
        let messages = try await slow.subscribe(
            to: "flood", options: .init(qos: .atLeastOnce), buffer: .init(maximumMessages: 8, overflow: .stopReading))
        let sender = try await broker.connect()
        for number in 0..<150 { try await sender.publish([UInt8(number)], to: "flood", qos: .atLeastOnce) }
        for number in 0..<150 { #expect(try await next(messages).payload == [UInt8(number)]) }
        #expect(messages.droppedCount == 0)
    }

    @Test func bytesInFlightAreBounded() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect { $0.maximumInFlightBytes = 10_000 }
        let bytes = [UInt8](repeating: 1, count: 3000)
        // On the loop's own thread, so that no acknowledgement makes room in between.
        let (refusals, inFlight) = await withCheckedContinuation { continuation in
            client.eventLoop.execute {
                var refusals: [any Error] = []
                var inFlight: [Int] = []
                for _ in 0..<50 {
                    do { try bytes.withUnsafeBytes { try client.send($0, to: "x", qos: .atLeastOnce) } } catch {
                        refusals.append(error)
                    }
                    inFlight.append(client.inFlightBytes)
                }
                continuation.resume(returning: (refusals, inFlight))
            }
        }
        for refusal in refusals {
            let error = try #require(refusal as? MQTTError)
            #expect(error.code == .bufferFull && error.isRetriable)
        }
        #expect(inFlight.count == 50 && inFlight.allSatisfy { $0 <= 10_000 })
        let refused = refusals.count
        #expect(refused > 0)
        // Waiting for room instead: all arrive.
        for _ in 0..<20 { try await client.publish(bytes, to: "x", qos: .atLeastOnce) }
        await client.close()
    }

    @Test("A publish that waits for room ends with its task, or with the client")
    func waitingForRoomEnds() async throws {
        var broker: TestBroker? = try TestBroker()
        let client = try #require(try await broker?.connect { $0.maximumInFlightBytes = 100 })
        let states = client.connectionStates
        broker = nil
        for await state in states { if case .waiting = state { break } }
        @Sendable func publish() async throws {
            try await client.publish([UInt8](repeating: 1, count: 90), to: "x", qos: .atLeastOnce)
        }
        // The first waits for a connection and takes all the room.
        let first = Task { try await publish() }
        while client.inFlightBytes == 0 { await Task.yield() }
        let cancelled = Task { try await publish() }
        let refused = Task { try await publish() }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        await client.close()
        for waiting in [first, refused] {
            let error = await #expect(throws: MQTTError.self) { try await waiting.value }
            #expect(error?.code == .closed)
        }
        #expect(client.inFlightBytes == 0)
        _ = broker
    }

    @Test("A publish that waits for room is refused when a close begins, though the last acknowledgements make room")
    func waitingForRoomWhileItCloses() async throws {
        let broker = try BrokerProcess.start(configuration: try BrokerProcess.localConfiguration())
        defer { broker.process.stop() }
        var configuration = MQTTConfiguration(address: try MQTTAddress(broker.url))
        configuration.maximumInFlightBytes = 100
        let client = try MQTTClient(configuration)
        try await client.connect()
        // From when it has really stopped, the broker acknowledges nothing until it is woken again.
        kill(broker.process.processID, SIGSTOP)
        var status: Int32 = 0
        #expect(waitpid(broker.process.processID, &status, WUNTRACED) == broker.process.processID)
        @Sendable func publish() async throws {
            try await client.publish([UInt8](repeating: 1, count: 90), to: "x", qos: .atLeastOnce)
        }
        // A task on the event loop's thread runs until it waits before the next job of that thread.
        func onLoop() async { await withCheckedContinuation { next in client.eventLoop.execute { next.resume() } } }
        let first = Task(executorPreference: client.eventLoop) { try await publish() }
        while client.inFlightBytes == 0 { await onLoop() }
        let second = Task(executorPreference: client.eventLoop) { try await publish() }
        await onLoop()
        let closing = Task(executorPreference: client.eventLoop) { await client.close() }
        for _ in 0..<2 { await onLoop() }
        kill(broker.process.processID, SIGCONT)
        let error = await #expect(throws: MQTTError.self) { try await second.value }
        #expect(error?.code == .closed)
        try await first.value
        await closing.value
        #expect(client.inFlightBytes == 0)
    }

    @Test(
        "A publish that waits for room is refused by a close, though a connection is still being opened",
        .timeLimit(.minutes(1)))
    func waitingForRoomWhileItOpens() async throws {
        let (descriptors, port) = try ClientConnectionTests.silentListener(isFull: true)
        defer { for descriptor in descriptors { close(descriptor) } }
        var configuration = MQTTConfiguration(address: .tcp(host: "127.0.0.1", port: port))
        configuration.maximumInFlightBytes = 100
        let client = try MQTTClient(configuration)
        let connecting = Task { try await client.connect() }
        for await state in client.connectionStates { if state == .connecting { break } }
        @Sendable func publish() async throws {
            try await client.publish([UInt8](repeating: 1, count: 90), to: "x", qos: .atLeastOnce)
        }
        let first = Task { try await publish() }
        while client.inFlightBytes == 0 { await Task.yield() }
        let second = Task { try await publish() }
        await client.close()
        let error = await #expect(throws: MQTTError.self) { try await second.value }
        #expect(error?.code == .closed)
        await #expect(throws: MQTTError.self) { try await connecting.value }
        first.cancel()
    }

    @Test("Many publishes that wait for room all arrive, each once")
    func waitingForRoomArrives() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect { $0.maximumInFlightBytes = 1000 }
        let messages = try await client.subscribe(to: "room", options: .init(qos: .atLeastOnce))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<100 as Range<UInt8> {
                group.addTask {
                    try await client.publish(
                        [UInt8](repeating: number, count: 100 + 8 * Int(number)), to: "room", qos: .atLeastOnce)
                }
            }
            try await group.waitForAll()
        }
        var numbers: Set<UInt8> = []
        for _ in 0..<100 { numbers.insert(try await next(messages).payload[0]) }
        #expect(numbers.count == 100)
        #expect(client.inFlightBytes == 0)
        await client.close()
    }

    @Test func aHandlerAnswersOnTheLoopsThread() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect()
        let answers = try await client.subscribe(to: "answer")
        let questions = try await client.subscribe(to: "question") { [weak client] message in
            #expect(client?.eventLoop.isCurrent == true)
            try? client?.send(message.payload, to: "answer")
        }
        for number in 0..<100 { try await client.publish([UInt8(number)], to: "question") }
        for number in 0..<100 { #expect(try await next(answers).payload == [UInt8(number)]) }
        questions.unsubscribe()
    }

    @Test func unixSocketsWork() async throws {
        let path = "/tmp/lcp-test-\(UUID().uuidString.prefix(8)).sock"
        let mosquitto = try #require(ChildProcess.find("mosquitto"))
        let file = "/tmp/lcp-test-\(UUID().uuidString.prefix(8)).conf"
        // As root mosquitto becomes another user, who may not write here.
        try "listener 0 \(path)\nallow_anonymous true\nuser root\n".write(
            toFile: file, atomically: true, encoding: .utf8)
        let process = try ChildProcess(executable: mosquitto, arguments: ["-c", file])
        defer {
            process.stop()
            for path in [path, file] { try? FileManager.default.removeItem(atPath: path) }
        }
        var client: MQTTClient?
        for _ in 0..<500 {
            let candidate = try MQTTClient(.init(address: .unix(path: path)))
            do {
                try await candidate.connect()
                client = candidate
                break
            } catch { try await Task.sleep(for: .milliseconds(10)) }
        }
        let connected = try #require(client)
        let messages = try await connected.subscribe(to: "u")
        try await connected.publish([5], to: "u")
        #expect(try await next(messages).payload == [5])
        await connected.close()
    }
}
