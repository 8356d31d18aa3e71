import Synchronization
import Testing

@testable import MQTT

@Suite struct OutgoingMessagesTests {
    func inFlight(_ bytes: Int, _ qos: QoS = .atMostOnce, _ completion: OutgoingMessages.Completion? = nil)
        -> OutgoingMessages.InFlight
    {
        .init(bytes: bytes, qos: qos, completion: completion, topic: qos == .atMostOnce ? nil : "t")
    }

    func waiting(_ payload: [UInt8], _ completion: OutgoingMessages.Completion? = nil) -> OutgoingMessages.Waiting {
        .init(topic: "t", payload: payload, qos: .atLeastOnce, retain: false, completion: completion)
    }

    @Test("A message is in flight from the call to its acknowledgement, with its bytes")
    func acknowledgement() {
        var messages = OutgoingMessages()
        messages.beginHandingOver()
        #expect(messages.handedOver(7, inFlight(100)) == false)
        #expect(messages.bytes == 100 && !messages.isEmpty)
        #expect(messages.acknowledged(8) == nil)
        #expect(messages.bytes == 100)
        #expect(messages.acknowledged(7)?.bytes == 100)
        #expect(messages.bytes == 0 && messages.isEmpty)
        #expect(messages.acknowledged(7) == nil)
    }

    @Test("A message that is acknowledged during the call is never in flight")
    func acknowledgedAtOnce() {
        var messages = OutgoingMessages()
        messages.beginHandingOver()
        #expect(messages.acknowledged(7) == nil)
        #expect(messages.handedOver(7, inFlight(100)) == true)
        #expect(messages.bytes == 0 && messages.isEmpty)
        // That was said of the one call only.
        messages.beginHandingOver()
        #expect(messages.handedOver(8, inFlight(100)) == false)
        #expect(messages.bytes == 100)
    }

    @Test("The acknowledgement of another message during the call is not taken for this one's")
    func anotherIsAcknowledgedMeanwhile() {
        var messages = OutgoingMessages()
        messages.beginHandingOver()
        _ = messages.handedOver(7, inFlight(100))
        messages.beginHandingOver()
        #expect(messages.acknowledged(7)?.bytes == 100)
        #expect(messages.handedOver(8, inFlight(50)) == false)
        #expect(messages.bytes == 50)
    }

    @Test("An acknowledgement after a call that failed is nobody's")
    func failedCall() {
        var messages = OutgoingMessages()
        messages.beginHandingOver()
        messages.notHandedOver()
        #expect(messages.acknowledged(3) == nil)
        messages.beginHandingOver()
        #expect(messages.handedOver(4, inFlight(1)) == false)
    }

    @Test("What waits for a connection goes in its order")
    func waitingInOrder() {
        var messages = OutgoingMessages()
        for number in 0..<20 as Range<UInt8> { messages.wait(waiting([number, number])) }
        #expect(messages.bytes == 60 && messages.hasWaiting)
        var payloads: [UInt8] = []
        while let message = messages.nextWaiting() { payloads.append(message.payload[0]) }
        #expect(payloads == Array(0..<20))
        #expect(messages.bytes == 0 && messages.isEmpty && !messages.hasWaiting)
    }

    @Test("What waits keeps its order and its bytes, however much of it is taken in between")
    func waitingWithGaps() {
        var messages = OutgoingMessages()
        var expected: [[UInt8]] = []
        var random = SystemRandomNumberGenerator()
        for number in 0..<5000 {
            if Bool.random(using: &random) || expected.isEmpty {
                let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: number % 7)
                messages.wait(waiting(payload))
                expected.append(payload)
            } else {
                #expect(messages.nextWaiting()?.payload == expected.removeFirst())
            }
            #expect(messages.bytes == expected.reduce(0) { $0 + $1.count + 1 })
        }
    }

    @Test("A lost connection takes QoS 0 with it, and nothing else")
    func lostConnection() {
        var messages = OutgoingMessages()
        for (number, qos) in [(1, QoS.atMostOnce), (2, .atLeastOnce), (3, .atMostOnce), (4, .exactlyOnce)]
            as [(Int32, QoS)]
        {
            messages.beginHandingOver()
            _ = messages.handedOver(number, inFlight(Int(number), qos))
        }
        messages.wait(waiting([0]))
        #expect(messages.takeLost(attempts: 1).map(\.bytes) == [1, 3])
        #expect(messages.bytes == 2 + 4 + 2)
        #expect(messages.takeLost(attempts: 1).isEmpty)
        #expect(messages.acknowledged(2) != nil && messages.acknowledged(4) != nil)
    }

    @Test("What somebody waits for is given up when the connection was lost often enough meanwhile")
    func givenUp() {
        var messages = OutgoingMessages()
        for (number, isAwaited) in [(1, true), (2, false)] as [(Int32, Bool)] {
            messages.beginHandingOver()
            let told: OutgoingMessages.Completion = { _ in }
            _ = messages.handedOver(number, inFlight(Int(number), .atLeastOnce, isAwaited ? told : nil))
        }
        for _ in 0..<2 { #expect(messages.takeLost(attempts: 3).isEmpty) }
        #expect(messages.takeLost(attempts: 3).map(\.bytes) == [1])
        #expect(messages.bytes == 2)
        #expect(messages.takeLost(attempts: 3).isEmpty)
    }

    @Test("The length of a PUBLISH packet is that of the specification")
    func packetLength() {
        // MQTT 5, 3.3: a byte, the rest's length, the topic with its length, a number, the properties with theirs, the payload.
        func bytes(
            _ topic: String, _ count: Int, _ qos: QoS = .atMostOnce, _ properties: MQTTProperties? = nil, isV5: Bool
        ) -> Int { OutgoingMessages.packetBytes(topic, count, qos, properties, isV5: isV5) }
        #expect(bytes("a/b", 4, isV5: false) == 11)
        #expect(bytes("a/b", 4, isV5: true) == 12)
        #expect(bytes("a/b", 4, .atLeastOnce, isV5: true) == 14)
        #expect(bytes("a", 124, isV5: false) == 129)
        #expect(bytes("a", 125, isV5: false) == 131)
        var properties = MQTTProperties()
        (properties.contentType, properties.messageExpiry) = ("x/y", 7)
        properties.userProperties = [.init(name: "k", value: "vw")]
        // Three properties of 6, 5 and 8 bytes.
        #expect(bytes("a", 1, .atMostOnce, properties, isV5: true) == 26)
    }

    @Test("At the end all are told, the oldest first")
    func end() {
        let told = Mutex<[Int]>([])
        func completion(_ number: Int) -> OutgoingMessages.Completion { { _ in told.withLock { $0.append(number) } } }
        var messages = OutgoingMessages()
        for number in 1...3 {
            messages.beginHandingOver()
            _ = messages.handedOver(Int32(number), inFlight(10, .atLeastOnce, completion(number)))
        }
        for number in 4...5 { messages.wait(waiting([0], completion(number))) }
        messages.wait(waiting([0]))
        for completion in messages.takeAll() { completion(nil) }
        #expect(told.withLock { $0 } == [1, 2, 3, 4, 5])
        #expect(messages.isEmpty && messages.bytes == 0)
    }

    @Test("Two in flight with one number are told of together, and none of their bytes is lost")
    func sameNumber() {
        let told = Mutex<[Int]>([])
        var messages = OutgoingMessages()
        for number in 1...2 {
            messages.beginHandingOver()
            let isDone = messages.handedOver(
                5, inFlight(number * 10, .atMostOnce) { _ in told.withLock { $0.append(number) } })
            #expect(!isDone)
        }
        #expect(messages.bytes == 30)
        let message = messages.acknowledged(5)
        #expect(message?.bytes == 30 && messages.bytes == 0)
        message?.completion?(nil)
        #expect(told.withLock { $0 } == [1, 2])
    }
}
