import Platform

/// What happens to one PUBLISH packet.
public struct FaultDecision: Sendable, Hashable {
    /// Bytes of a packet that become others.
    public struct Damage: Sendable, Hashable {
        public var offset: Int
        /// What the bytes are combined with by exclusive or; never 0.
        public var masks: [UInt8]
        var reachesHeaders: Bool
    }

    public var isDropped = false
    public var isDuplicated = false
    public var damage: Damage?
    public var delay = Duration.zero
    /// How many later packets overtake it; 0 for none.
    public var overtakers = 0
    /// How long it waits for them.
    public var patience = Duration.zero

    static let none = FaultDecision()
}

/// Decides what happens to packets: a pure state machine, with time passed in.
public struct FaultMachine: Sendable {
    /// The chances of one direction of one connection: a sequence of its own for each fault, so that neither other connections
    /// nor other faults change them.
    public struct Chances: Sendable {
        private let seed: UInt64
        private var generators: [Int: SeededGenerator] = [:]

        /// - Parameter seed: the connection's.
        public init(seed: UInt64, direction: Direction) {
            self.seed = SeededGenerator.first(seed: seed, stream: direction == .toBroker ? 1 : 2)
        }

        mutating func next(of fault: Int) -> UInt64 {
            generators[fault, default: SeededGenerator(seed: seed, stream: UInt64(fault))].next()
        }
    }

    private struct Entry {
        var id: Int
        var fault: Fault
        var used = 0

        var hasMore: Bool { fault.limit.map { used < $0 } ?? true }
    }

    public let seed: UInt64
    private(set) var bandwidth: Int?
    private var partitions: [FaultPlan.Partition]
    private var entries: [Entry]
    private var connectionsOfClient: [String: UInt64] = [:]
    private static let maximumClients = 4096

    public init(_ plan: FaultPlan) {
        seed = plan.seed
        bandwidth = plan.bandwidth
        partitions = plan.partitions
        entries = plan.faults.enumerated().map { Entry(id: $0.offset, fault: $0.element) }
    }

    /// Adds a fault; its number takes it away again.
    mutating func add(_ fault: Fault, id: Int) { entries.append(Entry(id: id, fault: fault)) }

    mutating func remove(_ id: Int) { entries.removeAll { $0.id == id } }

    /// The seed of a client's next connection: the same for its first connection in every run, whatever the others do.
    public mutating func seedOfNextConnection(client: String) -> UInt64 {
        // Client identifiers are strangers' words: from here on all that come new share one number.
        let key = connectionsOfClient[client] != nil || connectionsOfClient.count < Self.maximumClients ? client : ""
        let number = connectionsOfClient[key, default: 0]
        connectionsOfClient[key] = number + 1
        // FNV-1a: Swift's own hashes differ from run to run.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in client.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return SeededGenerator.first(seed: seed ^ hash, stream: number)
    }

    /// Decides about a packet.
    ///
    /// - Parameters:
    ///   - topic: the packet's topic, also where it has only an alias.
    ///   - bindsAlias: whether the packet gives a topic an alias: such a one must arrive, in its place.
    ///   - chances: of its connection and direction.
    public mutating func decide(
        _ packet: PublishPacket, topic: String, bindsAlias: Bool = false, client: String, direction: Direction,
        chances: inout Chances
    ) -> FaultDecision {
        guard !entries.isEmpty else { return .none }
        // Chances are taken whether or not something comes of them, so that they stay the same when another fault is added,
        // overrules this one, or has reached its limit.
        var hits: [(index: Int, random: SeededGenerator)] = []
        for index in entries.indices where entries[index].fault.applies(to: topic, client: client, direction: direction)
        {
            let probability = entries[index].fault.probability
            let number = chances.next(of: entries[index].id)
            var random = SeededGenerator(seed: number)
            if Double(random.unit()) < probability, entries[index].hasMore { hits.append((index, random)) }
        }
        guard !hits.isEmpty else { return .none }
        var decision = FaultDecision()
        if !bindsAlias, let drop = hits.first(where: { entries[$0.index].fault.kind == .drop }) {
            entries[drop.index].used += 1
            decision.isDropped = true
            return decision
        }
        for (index, random) in hits {
            var random = random
            if Self.apply(entries[index].fault.kind, to: packet, bindsAlias, &decision, &random) {
                entries[index].used += 1
            }
        }
        // A copy whose identifier may be damaged cannot be told from another message when it is acknowledged.
        if packet.qos > 0, decision.damage?.reachesHeaders == true { decision.isDuplicated = false }
        return decision
    }

    /// - Returns: whether something comes of it.
    private static func apply(
        _ kind: Fault.Kind, to packet: PublishPacket, _ bindsAlias: Bool, _ decision: inout FaultDecision,
        _ random: inout SeededGenerator
    ) -> Bool {
        switch kind {
        case .drop: return false
        case .duplicate:
            guard packet.qos < 2, !decision.isDuplicated else { return false }
            decision.isDuplicated = true
        case .reorder(let distance, let patience):
            guard !bindsAlias, decision.overtakers == 0 else { return false }
            decision.overtakers = 1 + random.index(distance)
            decision.patience = .milliseconds(patience)
        case .damage(let bytes, let wholePacket):
            let start = wholePacket ? 0 : packet.payloadOffset
            guard start < packet.byteCount, decision.damage == nil else { return false }
            let offset = start + random.index(packet.byteCount - start)
            let masks = (0..<min(bytes, packet.byteCount - offset)).map { _ in UInt8(1 + random.index(255)) }
            decision.damage = .init(offset: offset, masks: masks, reachesHeaders: wholePacket)
        case .delay(let milliseconds, let jitter):
            guard !bindsAlias else { return false }
            let change = jitter * Double(random.uniform(-1, 1))
            decision.delay += .milliseconds(max(0, milliseconds + change))
        }
        return true
    }

    // MARK: Partitions

    /// Whether a client is cut off, and how.
    func partition(of client: String, at now: Duration) -> FaultPlan.Partition.Mode? {
        let active = partitions.filter { Fault.matches($0.clients, client) && $0.state(at: now.seconds).isActive }
        return active.contains { $0.mode == .cut } ? .cut : active.first?.mode
    }

    /// Whether everybody is cut off by resets, and nobody gets a connection.
    func refusesEverybody(at now: Duration) -> Bool {
        partitions.contains { $0.mode == .cut && $0.clients.isEmpty && $0.state(at: now.seconds).isActive }
    }

    /// When a partition starts or ends next; nil for never.
    func nextPartitionChange(after now: Duration) -> Duration? {
        partitions.compactMap { $0.state(at: now.seconds).nextChange }.min().map { .seconds($0) }
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

extension SeededGenerator {
    static func first(seed: UInt64, stream: UInt64) -> UInt64 {
        var generator = SeededGenerator(seed: seed, stream: stream)
        return generator.next()
    }
}
