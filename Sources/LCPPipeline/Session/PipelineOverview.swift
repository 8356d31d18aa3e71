import FoundationEssentials
public import LCPWire

/// Who is in a pipeline and how they do, from their statuses and counters: pure.
public struct PipelineOverview: Sendable {
    /// A process of the pipeline.
    public struct Member: Sendable, Hashable, Encodable {
        public var status: RoleStatus
        public var statistics: RoleStatistics?
        /// From the last two counters; nil before there are two.
        public var framesPerSecond: Double?
        /// Whether it was heard itself, and not only what the broker keeps of it: after a power cut that may be long gone.
        public var isHeard = false

        enum CodingKeys: String, CodingKey {
            case status, statistics
            case isHeard = "heard"
            case framesPerSecond = "frames_per_s"
        }
    }

    private var entries: [String: Member] = [:]
    /// Which frames are computed, where more come than can be.
    public var plan: FlowPlan?
    private static let maximumEntries = 1024

    public init() {}

    /// Takes a status, as it lies on `…/status/ROLE/ID`.
    ///
    /// - Parameter isKept: whether the broker had kept it.
    public mutating func add(_ status: RoleStatus, isKept: Bool = false) {
        let key = "\(status.role.rawValue)/\(status.id)"
        guard entries[key] != nil || entries.count < Self.maximumEntries else { return }
        // The counters of one who began anew begin anew.
        if entries[key]?.status.birth != status.birth {
            entries[key] = Member(status: status)
        } else {
            entries[key]?.status = status
        }
        if !isKept { entries[key]?.isHeard = true }
    }

    /// Takes counters, as they come on `…/stats/ROLE/ID`.
    public mutating func add(statistics json: [UInt8], role: String, id: String) {
        guard json.count <= 16_384, var member = entries["\(role)/\(id)"],
            let statistics = try? JSONDecoder().decode(RoleStatistics.self, from: Data(json))
        else { return }
        if let before = member.statistics, statistics.frames >= before.frames {
            let seconds = statistics.uptime - before.uptime
            let rate = Double(statistics.frames - before.frames) / seconds
            if seconds > 0, rate.isFinite { member.framesPerSecond = rate }
        }
        member.statistics = statistics
        member.isHeard = true
        entries["\(role)/\(id)"] = member
    }

    /// Sensors, then workers, then aggregators; those who are gone behind those who are there.
    public var members: [Member] {
        let order = Dictionary(uniqueKeysWithValues: Role.allCases.enumerated().map { ($1, $0) })
        func key(_ member: Member) -> (Int, Int, Int, String) {
            return (
                order[member.status.role] ?? 0, member.status.isGone ? 1 : 0,
                (member.status.serves ?? []).min() ?? .max,
                member.status.id
            )
        }
        return entries.values.sorted { key($0) < key($1) }
    }

    /// Whether what the broker keeps is believed: until everybody had the time to be heard. Sensors may have nothing to say.
    public var trustsBroker = true

    /// Whether everybody was heard who the broker says is there.
    public var isHeard: Bool {
        entries.values.allSatisfy { $0.isHeard || $0.status.role == .sensor || $0.status.isGone }
    }

    /// Whether a member is there only by what the broker keeps.
    public func isGhost(_ member: Member) -> Bool {
        !trustsBroker && !member.isHeard && member.status.role != .sensor && !member.status.isGone
    }

    /// Those who are ready.
    var ready: [RoleStatus] { members.filter { !isGhost($0) }.map(\.status).filter { $0.state == .ready } }

    /// Whether everybody who is there has told its counters twice.
    public var hasRates: Bool {
        let present = entries.values.filter { $0.status.state == .ready }
        return !present.isEmpty && present.allSatisfy { $0.framesPerSecond != nil }
    }

    /// The sensors that each of several aggregators answers, by the aggregators' names; empty where there are not several.
    public var shares: [(aggregator: String, sensors: [String])] {
        let sharing = ready.filter { $0.role == .aggregator && $0.buckets != nil }.map(\.id)
        guard sharing.count > 1 else { return [] }
        let owners = SensorBuckets.owners(sharing)
        let sensors = Set(
            entries.values.filter { $0.status.role == .sensor && !$0.status.isGone }.map(\.status.id)
                + bareSensors.map(\.sensor))
        let shares = Dictionary(grouping: sensors.sorted()) { owners[SensorBuckets.bucket(of: $0)] ?? "" }
        return sharing.sorted().map { ($0, shares[$0] ?? []) }
    }

    /// Sensors that send bare pictures, and when each was answered last, as aggregators say it; by name.
    public var bareSensors: [(sensor: String, time: String)] {
        entries.values.reduce(into: [String: String]()) { latest, member in
            for (sensor, time) in member.statistics?.bareSensors ?? [:] {
                latest[sensor] = max(latest[sensor] ?? "", time)
            }
        }.prefix(64).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}

extension RoleStatistics {
    /// What was dropped, most first, and how much that is together; what came late is counted by itself.
    ///
    /// The numbers are a stranger's: a sum that no integer holds is the largest one.
    public var lost: (reasons: [(reason: String, count: UInt64)], total: UInt64) {
        let reasons = dropped.filter { $0.key != "late" && $0.value > 0 }
            .sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        let total = reasons.reduce(UInt64(0)) { sum, entry in
            let (result, overflows) = sum.addingReportingOverflow(entry.value)
            return overflows ? .max : result
        }
        return (reasons.map { ($0.key, $0.value) }, total)
    }
}
