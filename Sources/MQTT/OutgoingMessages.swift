import DequeModule

/// The messages on their way to the broker: those that libmosquitto has, and those that wait for a connection. No I/O.
///
/// What is to be told of a message is returned with it, and told by the caller.
struct OutgoingMessages {
    typealias Completion = @Sendable (MQTTError?) -> Void

    /// A message that waits for a connection.
    struct Waiting {
        var topic: String
        var payload: [UInt8]
        var qos: QoS
        var retain: Bool
        var properties: MQTTProperties?
        var completion: Completion?

        var bytes: Int { OutgoingMessages.bytes(topic, payload.count) }
    }

    /// A message that libmosquitto has: it is not written yet (QoS 0) or not acknowledged (QoS 1 and 2).
    struct InFlight {
        var bytes: Int
        var qos: QoS
        var completion: Completion?
        /// For QoS 1 and 2, which the broker may refuse.
        var topic: String?
        /// How often the connection was lost meanwhile.
        var losses = 0
    }

    private var inFlight: [Int32: InFlight] = [:]
    private var waiting = Deque<Waiting>()
    /// Of all of them, topics and payloads.
    private(set) var bytes = 0
    /// Whether libmosquitto is being given a message, whose number is known only when the call returns.
    private var isHandingOver = false
    private var wasAcknowledgedAtOnce = false

    /// What a message counts for.
    static func bytes(_ topic: String, _ payloadCount: Int) -> Int { topic.utf8.count + payloadCount }

    var isEmpty: Bool { inFlight.isEmpty && waiting.isEmpty }

    var hasWaiting: Bool { !waiting.isEmpty }

    // MARK: Waiting for a connection

    mutating func wait(_ message: Waiting) {
        waiting.append(message)
        bytes += message.bytes
    }

    /// Takes the one that has waited longest.
    mutating func nextWaiting() -> Waiting? {
        guard let message = waiting.popFirst() else { return nil }
        bytes -= message.bytes
        return message
    }

    // MARK: In flight

    /// Announces that libmosquitto is given a message. Either ``handedOver(_:_:)`` follows or ``notHandedOver()``.
    mutating func beginHandingOver() {
        assert(!isHandingOver, "libmosquitto is given one message at a time")
        isHandingOver = true
        wasAcknowledgedAtOnce = false
    }

    /// libmosquitto took the message.
    ///
    /// - Returns: whether it was acknowledged meanwhile, so that it is not in flight.
    mutating func handedOver(_ number: Int32, _ message: InFlight) -> Bool {
        assert(isHandingOver)
        isHandingOver = false
        guard !wasAcknowledgedAtOnce else { return true }
        bytes += message.bytes
        if let before = inFlight.updateValue(message, forKey: number) { join(before, to: number) }
        return false
    }

    /// libmosquitto did not take the message.
    mutating func notHandedOver() { isHandingOver = false }

    /// libmosquitto has written a message (QoS 0), or the broker has acknowledged it.
    ///
    /// - Returns: the message, where it was in flight.
    mutating func acknowledged(_ number: Int32) -> InFlight? {
        guard !inFlight.isEmpty, let message = inFlight.removeValue(forKey: number) else {
            if isHandingOver { wasAcknowledgedAtOnce = true }
            return nil
        }
        bytes -= message.bytes
        return message
    }

    /// libmosquitto counts messages with 16 bits. Where more are in flight, those with one number are told of together.
    private mutating func join(_ before: InFlight, to number: Int32) {
        guard var message = inFlight[number] else { return }
        message.bytes += before.bytes
        if let first = before.completion {
            let second = message.completion
            message.completion = {
                first($0)
                second?($0)
            }
        }
        inFlight[number] = message
    }

    // MARK: The end of a connection

    /// Takes what was not written and is gone with the connection. QoS 1 and 2 are kept, for libmosquitto sends them again, but for
    /// those that somebody waits for, and has waited for through so many connections.
    mutating func takeLost(attempts: Int) -> [InFlight] {
        assertSumsAgree()
        for (number, message) in inFlight where message.completion != nil {
            inFlight[number]!.losses = message.losses + 1
        }
        let lost = inFlight.filter { $0.value.qos == .atMostOnce || $0.value.losses >= attempts }
        for (number, message) in lost {
            inFlight[number] = nil
            bytes -= message.bytes
        }
        return lost.sorted { $0.key < $1.key }.map(\.value)
    }

    /// Takes everything, the oldest first, for the last time.
    ///
    /// - Returns: what is to be told of it.
    mutating func takeAll() -> [Completion] {
        assertSumsAgree()
        var completions = inFlight.sorted { $0.key < $1.key }.compactMap(\.value.completion)
        inFlight.removeAll()
        while let message = waiting.popFirst() {
            if let completion = message.completion { completions.append(completion) }
        }
        bytes = 0
        return completions
    }

    private func assertSumsAgree() {
        assert(
            bytes == inFlight.values.reduce(0) { $0 + $1.bytes }
                + waiting.reduce(0) { $0 + $1.bytes },
            "what is in flight and what waits add up to what is counted")
    }
}
