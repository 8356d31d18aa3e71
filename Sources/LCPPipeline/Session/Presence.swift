package import LCPWire

/// Who is there, from the retained statuses: a pure table with time passed in.
package struct Presence {
    private struct Entry {
        var status: RoleStatus
        /// Whether it has been heard since the connection was made.
        var isConfirmed: Bool
        /// When it was heard last.
        var heard: ContinuousClock.Instant
    }

    private var entries: [String: Entry] = [:]
    /// Until when those who were there before a reconnect may still say so.
    private var graceEnds: ContinuousClock.Instant?
    /// The most processes that are kept in mind; endless strangers do not fill the memory.
    package static let maximumEntries = 1024
    package static let grace = Duration.seconds(3)

    package init() {}

    /// Takes a status.
    ///
    /// - Returns: whether the table changed.
    package mutating func update(_ status: RoleStatus, now: ContinuousClock.Instant = .now) -> Bool {
        let key = "\(status.role.rawValue)/\(status.id)"
        switch status.state {
        case .starting, .ready:
            let known = entries[key]
            guard known != nil || entries.count < Self.maximumEntries else { return false }
            entries[key] = Entry(status: status, isConfirmed: true, heard: now)
            return known?.status != status
        case .lost, .disconnected:
            // A death belongs to a birth: an old one must not bury who has come back.
            guard let known = entries[key], known.status.birth == status.birth else { return false }
            entries[key] = nil
            return true
        }
    }

    /// The connection was lost and is back: the broker may have forgotten everybody, and everybody says so again.
    ///
    /// - Parameter connected: since when it is back. Who was heard since then has said so already: that the connection is back is
    ///   told by another way than what comes through it, and may be told later.
    package mutating func reconnected(since connected: ContinuousClock.Instant?, now: ContinuousClock.Instant) {
        for (key, entry) in entries where connected.map({ entry.heard < $0 }) ?? true {
            entries[key]!.isConfirmed = false
        }
        graceEnds = now + Self.grace
    }

    /// Under a name stands nothing any more, or what is no status: who is there says so again in time.
    ///
    /// - Parameter topic: `…/ROLE/ID`.
    /// - Returns: whether that is new of somebody known, and ``expire(now:)`` has to be asked when the grace is over.
    package mutating func doubt(_ topic: String, now: ContinuousClock.Instant) -> Bool {
        let key = topic.split(separator: "/").suffix(2).joined(separator: "/")
        guard entries[key]?.isConfirmed == true else { return false }
        entries[key]!.isConfirmed = false
        graceEnds = now + Self.grace
        return true
    }

    /// Forgets those who did not come back.
    ///
    /// - Returns: whether the table changed.
    package mutating func expire(now: ContinuousClock.Instant) -> Bool {
        guard let end = graceEnds, now >= end else { return false }
        graceEnds = nil
        let before = entries.count
        entries = entries.filter(\.value.isConfirmed)
        return entries.count != before
    }

    /// Forgets everybody of a role, who is not listened to any more.
    package mutating func forget(_ role: Role) { entries = entries.filter { $0.value.status.role != role } }

    /// Everybody of a role.
    package func all(_ role: Role) -> [RoleStatus] { entries.values.map(\.status).filter { $0.role == role } }

    /// Those of a role that have said something since the last reconnect.
    package func confirmed(_ role: Role) -> [RoleStatus] {
        entries.values.filter { $0.isConfirmed && $0.status.role == role }.map(\.status)
    }

    /// Whether, since the last reconnect, an aggregator has said that it is ready, and workers for all of its branches.
    package var isWhole: Bool {
        let ready = entries.values.filter { $0.isConfirmed && $0.status.state == .ready }.map(\.status)
        guard let count = ready.first(where: { $0.role == .aggregator })?.branches else { return false }
        let served = ready.filter { $0.role == .worker }.flatMap(\.servedBranches)
        return (0..<min(64, max(0, count))).allSatisfy(served.contains)
    }
}
