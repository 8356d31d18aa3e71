/// Who is gone, and since when: pure.
struct Departures<Name: Hashable> {
    private var since: [Name: ContinuousClock.Instant] = [:]

    /// So long is somebody waited for.
    static var patience: Duration { .seconds(86_400) }

    /// Somebody said that he is there, or that he is not.
    mutating func heard(_ name: Name, isGone: Bool, now: ContinuousClock.Instant) {
        if !isGone { since[name] = nil } else if since[name] == nil { since[name] = now }
    }

    /// Those who have been gone for too long; they are named once.
    mutating func expired(now: ContinuousClock.Instant) -> [Name] {
        let names = since.filter { now - $0.value >= Self.patience }.map(\.key)
        for name in names { since[name] = nil }
        return names
    }
}
