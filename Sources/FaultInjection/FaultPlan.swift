/// What a proxy does to the connections that go through it: a value that can be written down and repeated.
public struct FaultPlan: Sendable, Hashable, Codable {
    /// A time in which clients and the broker do not reach each other.
    public struct Partition: Sendable, Hashable, Codable {
        public enum Mode: String, Sendable, Hashable, Codable {
            /// Connections stay, and bytes wait until it is over: a line that is dead for a while.
            case hold
            /// Connections are reset, and so are new ones until it is over.
            case cut
        }

        /// Seconds after the proxy's start.
        public var start: Double
        /// Seconds.
        public var duration: Double
        /// Seconds from one start to the next; nil for once.
        public var period: Double?
        public var mode: Mode
        /// As in ``Fault/clients``.
        public var clients: [String]

        public init(
            start: Double, duration: Double, period: Double? = nil, mode: Mode = .hold, clients: [String] = []
        ) {
            self.start = start
            self.duration = duration
            self.period = period
            self.mode = mode
            self.clients = clients
        }

        public init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            start = try values.decode(Double.self, forKey: .start)
            duration = try values.decode(Double.self, forKey: .duration)
            period = try values.decodeIfPresent(Double.self, forKey: .period)
            mode = try values.decodeIfPresent(Mode.self, forKey: .mode) ?? .hold
            clients = try values.decodeIfPresent([String].self, forKey: .clients) ?? []
        }

        /// Whether it is on, and when that changes; nil for never again.
        func state(at now: Double) -> (isActive: Bool, nextChange: Double?) {
            guard now >= start else { return (false, start) }
            var begin = start
            if let period {
                begin += ((now - start) / period).rounded(.down) * period
            }
            if now < begin + duration { return (true, begin + duration) }
            return (false, period.map { begin + $0 })
        }
    }

    /// The same seed and the same packets of a client give the same decisions.
    public var seed: UInt64
    public var faults: [Fault]
    /// The most bytes a second of one connection in one direction; nil for no limit.
    public var bandwidth: Int?
    public var partitions: [Partition]

    public init(seed: UInt64 = 1, faults: [Fault] = [], bandwidth: Int? = nil, partitions: [Partition] = []) {
        self.seed = seed
        self.faults = faults
        self.bandwidth = bandwidth
        self.partitions = partitions
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        seed = try values.decodeIfPresent(UInt64.self, forKey: .seed) ?? 1
        faults = try values.decodeIfPresent([Fault].self, forKey: .faults) ?? []
        bandwidth = try values.decodeIfPresent(Int.self, forKey: .bandwidth)
        partitions = try values.decodeIfPresent([Partition].self, forKey: .partitions) ?? []
    }

    /// - Throws: ``ChaosError`` where a number or a filter makes no sense.
    public func validate() throws(ChaosError) {
        guard faults.count <= 64, partitions.count <= 64 else {
            throw ChaosError("a plan has at most 64 faults and 64 partitions")
        }
        for fault in faults { try fault.validate() }
        guard (1...1 << 40).contains(bandwidth ?? 1) else {
            throw ChaosError("a bandwidth is at least 1 byte a second")
        }
        for partition in partitions {
            guard (0...1e6).contains(partition.start), partition.duration > 0, partition.duration <= 1e6,
                partition.period ?? 1e6 > partition.duration, partition.period ?? 0 <= 1e6
            else {
                throw ChaosError(
                    "a partition starts at 0 s or later, lasts more than 0 s, and less than the time to the next one")
            }
        }
    }
}
