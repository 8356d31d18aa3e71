/// One connection through a proxy, in both directions: bytes and the time in, bytes out. It has no socket and no clock.
struct FaultedConnection {
    /// The client's identifier; empty until it has said it.
    private(set) var client = ""
    private var version: UInt8 = 4
    private var toBroker: PacketLane
    private var fromBroker: PacketLane
    /// Acknowledgements to come for packet identifiers of which a copy was sent, by the direction of the messages: whether the
    /// sender may see each of them.
    private var acknowledgements: [Direction: [UInt16: [Bool]]] = [:]

    init(maximumPacketBytes: Int = 32 << 20) {
        toBroker = PacketLane(.toBroker, maximumPacketBytes: maximumPacketBytes)
        fromBroker = PacketLane(.fromBroker, maximumPacketBytes: maximumPacketBytes)
    }

    /// Whether it is no MQTT, or TLS.
    var isOpaque: Bool { toBroker.splitter.isOpaque }

    /// What went in a direction and was done to it.
    func counters(_ direction: Direction) -> LaneCounters { self[direction].counters }

    /// The bytes that are held.
    func heldBytes(_ direction: Direction) -> Int { self[direction].heldBytes }

    /// The bytes that are held and no part of an unfinished packet: what a limit can wait for.
    func queuedBytes(_ direction: Direction) -> Int { self[direction].heldBytes - self[direction].splitter.count }

    /// Takes bytes of one direction.
    mutating func receive(
        _ bytes: UnsafeRawBufferPointer, _ direction: Direction, at now: Duration, _ machine: inout FaultMachine
    ) {
        self[direction].counters.bytes += UInt64(bytes.count)
        self[direction].splitter.append(bytes)
        self[direction].advance(to: now)
        while let piece = self[direction].splitter.next() {
            switch piece {
            case .bytes(let bytes): self[direction].pass(bytes, at: now, isLast: true)
            case .packet(let packet):
                self[direction].counters.packets += 1
                take(packet, direction, now, &machine)
            }
        }
    }

    /// Says that no more bytes come in this direction.
    mutating func end(_ direction: Direction, at now: Duration) {
        let rest = self[direction].splitter.takeRest()
        self[direction].pass(rest, at: now, isLast: true)
    }

    /// Gives `body` what may be sent now; it returns how many bytes it took.
    ///
    /// - Returns: whether `body` took everything that it was given.
    mutating func send(
        _ direction: Direction, at now: Duration, bandwidth: Int?, _ body: (UnsafeRawBufferPointer) -> Int
    ) -> Bool {
        self[direction].advance(to: now)
        return self[direction].send(at: now, bandwidth: bandwidth, body)
    }

    /// When there is something to send again, without anything coming in; nil for never.
    func nextSend(_ direction: Direction, bandwidth: Int?) -> Duration? {
        self[direction].nextSend(bandwidth: bandwidth)
    }

    private subscript(direction: Direction) -> PacketLane {
        get { direction == .toBroker ? toBroker : fromBroker }
        _modify {
            if direction == .toBroker { yield &toBroker } else { yield &fromBroker }
        }
    }

    private mutating func take(
        _ packet: [UInt8], _ direction: Direction, _ now: Duration, _ machine: inout FaultMachine
    ) {
        switch packet[0] >> 4 {
        case 1 where direction == .toBroker:
            if let connect = ConnectPacket(packet) {
                (client, version) = (connect.clientID, connect.version)
                let seed = machine.seedOfNextConnection(client: client)
                toBroker.chances = .init(seed: seed, direction: .toBroker)
                fromBroker.chances = .init(seed: seed, direction: .fromBroker)
            }
        case 3:
            if let publish = PublishPacket(packet, version: version) {
                take(publish, packet, direction, now, &machine)
                return
            }
        case 4:
            if mustKeepAcknowledgement(packet, direction.opposite) {
                self[direction].counters.acknowledgementsKept += 1
                return
            }
        case 14:
            // A goodbye comes after everything that was said before it.
            self[direction].pass(packet, at: now, isLast: true)
            return
        default: break
        }
        self[direction].pass(packet, at: now)
    }

    private mutating func take(
        _ publish: PublishPacket, _ packet: [UInt8], _ direction: Direction, _ now: Duration,
        _ machine: inout FaultMachine
    ) {
        self[direction].counters.publishes += 1
        guard let topic = self[direction].topic(of: publish) else {
            // Its alias was never seen here: whose message it is, nobody can say.
            self[direction].pass(packet, at: now, isLast: true)
            return
        }
        let bindsAlias = publish.topicAlias != nil && !publish.topic.isEmpty
        var decision = machine.decide(
            publish, topic: topic, bindsAlias: bindsAlias, client: client, direction: direction,
            chances: &self[direction].chances)
        if decision.isDropped {
            self[direction].counters.dropped += 1
            return
        }
        if let identifier = publish.packetIdentifier, publish.qos == 1 {
            decision.isDuplicated = expectAcknowledgements(identifier, direction, isDuplicated: decision.isDuplicated)
        }
        var packet = packet
        if let damage = decision.damage {
            for (index, mask) in damage.masks.enumerated() { packet[damage.offset + index] ^= mask }
            self[direction].counters.damaged += 1
        }
        if decision.isDuplicated {
            var copy = packet
            if publish.qos > 0 { PublishPacket.markRepeated(&copy) }
            packet += copy
            self[direction].counters.duplicated += 1
        }
        if bindsAlias {
            self[direction].pass(packet, at: now, isLast: true)
        } else {
            self[direction].publish(packet, topic: topic, decision, at: now)
        }
    }

    // MARK: Acknowledgements of copies

    /// Notes what will be acknowledged.
    ///
    /// - Returns: whether the message may be sent twice.
    private mutating func expectAcknowledgements(_ identifier: UInt16, _ direction: Direction, isDuplicated: Bool)
        -> Bool
    {
        var expected = acknowledgements[direction]?[identifier] ?? []
        // A receiver that does not acknowledge copies must not let this grow.
        let isDuplicated = isDuplicated && expected.count < 8
        guard isDuplicated || !expected.isEmpty else { return false }
        if expected.count < 16 { expected += isDuplicated ? [true, false] : [true] }
        acknowledgements[direction, default: [:]][identifier] = expected
        return isDuplicated
    }

    /// Whether an acknowledgement is that of a copy, which the sender of the message knows nothing of.
    private mutating func mustKeepAcknowledgement(_ packet: [UInt8], _ direction: Direction) -> Bool {
        var reader = PacketReader(packet)
        guard acknowledgements[direction] != nil, reader.skipFixedHeader(), let identifier = reader.number(),
            let first = acknowledgements[direction]?[identifier]?.first
        else { return false }
        acknowledgements[direction]?[identifier]?.removeFirst()
        if acknowledgements[direction]?[identifier]?.isEmpty == true { acknowledgements[direction]?[identifier] = nil }
        return !first
    }
}
