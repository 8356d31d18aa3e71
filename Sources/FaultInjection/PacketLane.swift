import DequeModule

/// What goes in one direction of a connection: packets in, bytes out when their time has come.
struct PacketLane {
    var splitter: MQTTFrameSplitter
    var counters = LaneCounters()
    var chances = FaultMachine.Chances(seed: 0, direction: .toBroker)

    /// A packet whose time comes later.
    private struct Delayed {
        var release: Duration
        var bytes: [UInt8]
        var topic: String?
    }

    /// A packet that waits until others have overtaken it.
    private struct Overtaken {
        var bytes: [UInt8]
        var remaining: Int
        var deadline: Duration
        /// Its own delay, which it keeps.
        var earliest: Duration
        var wasOvertaken = false
    }

    private var ready = ByteQueue()
    /// In the order in which they go.
    private var delayed: Deque<Delayed> = []
    private var overtaken: [Overtaken] = []
    private var waitingBytes = 0
    /// For topics with delayed packets: how many, and when the last of them goes.
    private var delayedTopics: [String: (count: Int, release: Duration)] = [:]
    /// Nothing that comes goes before this.
    private var floor = Duration.zero
    private var aliases: [UInt16: String] = [:]
    private var pacer = Pacer()

    /// What an entry of a list costs besides its bytes, so that tiny packets are bounded too.
    private static let overhead = 128
    private static let maximumOvertaken = 16
    private static let maximumAliases = 1024

    init(_ direction: Direction, maximumPacketBytes: Int) {
        splitter = MQTTFrameSplitter(direction, maximumPacketBytes: maximumPacketBytes)
    }

    var heldBytes: Int { splitter.count + ready.count + waitingBytes }

    /// The topic of a packet, with aliases resolved; nil where it has one that is not known.
    mutating func topic(of packet: PublishPacket) -> String? {
        guard let alias = packet.topicAlias else { return packet.topic }
        if packet.topic.isEmpty { return aliases[alias] }
        if aliases[alias] != nil || aliases.count < Self.maximumAliases { aliases[alias] = packet.topic }
        return packet.topic
    }

    /// Lets bytes pass.
    ///
    /// - Parameter isLast: whether they come after everything that waits, and before everything that comes.
    mutating func pass(_ bytes: [UInt8], at now: Duration, isLast: Bool = false) {
        guard isLast, !overtaken.isEmpty || !delayed.isEmpty else {
            enqueue(bytes, max(now, floor), now)
            return
        }
        for packet in overtaken { release(packet, max(now, floor), now) }
        overtaken.removeAll()
        floor = max(floor, delayed.last?.release ?? now)
        enqueue(bytes, floor, now)
    }

    /// Sends a PUBLISH packet on, when and where it was decided.
    mutating func publish(
        _ bytes: [UInt8], topic: String, _ decision: FaultDecision, at now: Duration
    ) {
        if decision.overtakers > 0, overtaken.count < Self.maximumOvertaken {
            overtaken.append(
                Overtaken(
                    bytes: bytes, remaining: decision.overtakers, deadline: now + decision.patience,
                    earliest: now + decision.delay))
            waitingBytes += bytes.count + Self.overhead
            return
        }
        var time = max(now + decision.delay, floor)
        if let before = delayedTopics[topic] { time = max(time, before.release) }
        if time > now { counters.delayed += 1 }
        enqueue(bytes, time, now, topic: topic)
        for index in overtaken.indices {
            overtaken[index].remaining -= 1
            overtaken[index].wasOvertaken = true
        }
        for packet in overtaken where packet.remaining <= 0 { release(packet, time, now) }
        overtaken.removeAll { $0.remaining <= 0 }
    }

    /// Makes ready what has waited long enough.
    mutating func advance(to now: Duration) {
        for packet in overtaken where packet.deadline <= now { release(packet, max(now, floor), now) }
        overtaken.removeAll { $0.deadline <= now }
        while let packet = delayed.first, packet.release <= now {
            delayed.removeFirst()
            waitingBytes -= packet.bytes.count + Self.overhead
            ready.append(packet.bytes)
            if let topic = packet.topic, let entry = delayedTopics[topic] {
                delayedTopics[topic] = entry.count > 1 ? (entry.count - 1, entry.release) : nil
            }
        }
    }

    /// Gives `body` what is ready, as far as the bandwidth goes.
    ///
    /// - Returns: whether `body` took all that it was given.
    mutating func send(at now: Duration, bandwidth: Int?, _ body: (UnsafeRawBufferPointer) -> Int) -> Bool {
        let allowed = bandwidth.map { pacer.allowance(at: now, bandwidth: $0) } ?? ready.count
        let offered = min(allowed, ready.count)
        guard offered > 0 else { return true }
        let taken = ready.consume(offered, body)
        if bandwidth != nil { pacer.use(taken) }
        return taken == offered
    }

    /// When there is something to send again, without anything coming in; nil for never.
    func nextSend(bandwidth: Int?) -> Duration? {
        var next = overtaken.lazy.map(\.deadline).min()
        if let first = delayed.first { next = min(next ?? first.release, first.release) }
        if let bandwidth, !ready.isEmpty {
            let time = pacer.time(for: ready.count, bandwidth: bandwidth)
            next = min(next ?? time, time)
        }
        return next
    }

    private mutating func release(
        _ packet: Overtaken, _ time: Duration, _ now: Duration
    ) {
        waitingBytes -= packet.bytes.count + Self.overhead
        if packet.wasOvertaken { counters.reordered += 1 }
        enqueue(packet.bytes, max(time, packet.earliest), now)
    }

    private mutating func enqueue(_ bytes: [UInt8], _ release: Duration, _ now: Duration, topic: String? = nil) {
        guard !bytes.isEmpty else { return }
        guard release > now else {
            ready.append(bytes)
            return
        }
        var index = delayed.count
        while index > 0, delayed[index - 1].release > release { index -= 1 }
        delayed.insert(Delayed(release: release, bytes: bytes, topic: topic), at: index)
        waitingBytes += bytes.count + Self.overhead
        if let topic { delayedTopics[topic] = ((delayedTopics[topic]?.count ?? 0) + 1, release) }
    }
}

/// Spreads bytes over time: a bucket that fills as fast as the bandwidth says and holds a twentieth of a second.
struct Pacer {
    private var tokens = 0.0
    private var filledAt = Duration.zero

    private static func capacity(_ bandwidth: Int) -> Double { max(1, Double(bandwidth) / 20) }

    /// How many bytes may go now.
    mutating func allowance(at now: Duration, bandwidth: Int) -> Int {
        tokens = min(
            Self.capacity(bandwidth), tokens + max(0, (now - filledAt).seconds) * Double(bandwidth))
        filledAt = max(filledAt, now)
        // A little more than nothing, lest rounding keep the last byte back for ever.
        return Int(tokens + 1e-6)
    }

    mutating func use(_ bytes: Int) { tokens -= Double(bytes) }

    /// When so many bytes, or a full bucket, may go.
    func time(for bytes: Int, bandwidth: Int) -> Duration {
        let wanted = min(Double(bytes), Self.capacity(bandwidth))
        return filledAt + .seconds(max(0, wanted - tokens) / Double(bandwidth))
    }
}
