import LCPWire

/// Who belongs to the aggregators that share the sensors.
extension AggregatorGroup {
    mutating func review(_ now: Instant, _ actions: inout [Action]) {
        guard view != nil else { return meet(now, &actions) }
        if let hearsSince, hearsItself(now) {
            for member in view?.members ?? [] where member.id != own.id {
                let other = others[member.id]
                let patience = other?.patience ?? Self.silence
                if now - max(other?.heard ?? adopted, hearsSince) > patience { bury(member, now) }
            }
        }
        propose(now, &actions)
    }

    /// Who does not hear himself cannot say that others are silent.
    private func hearsItself(_ now: Instant) -> Bool { echoed.map { now - $0 <= Self.interval * 3 } ?? false }

    /// The members that live, as far as is known, with what they say of themselves.
    private var alive: [Member] {
        (view?.members ?? []).compactMap { member in
            guard member.id != own.id else { return member.isSame(as: own) ? own : nil }
            guard let said = others[member.id]?.beat.member else {
                return buried[member.id].map { $0.birth == member.birth && $0.term >= member.term } == true
                    ? nil : member
            }
            return said.isSame(as: member) ? said : nil
        }
    }

    /// Of those who live the first by name says who belongs to them.
    private mutating func propose(_ now: Instant, _ actions: inout [Action]) {
        guard let view else { return }
        let alive = alive
        let staying = alive.filter { $0.leaving != true }
        guard (staying.isEmpty ? alive : staying).map(\.id).min() == own.id else { return }
        let newcomers = others.values.filter { other in
            other.beat.view == nil && other.beat.member.leaving != true && isFresh(other, now) && isKnown(other)
                && !alive.contains { $0.isSame(as: other.beat.member) }
                && (staying.isEmpty || hasPassed(other, now))
        }.map(\.beat.member)
        let members = Self.ordered(alive.filter { member in !newcomers.contains { $0.id == member.id } } + newcomers)
        if members != view.members { propose(members, now, &actions) }
    }

    private mutating func propose(_ members: [Member], _ now: Instant, _ actions: inout [Action]) {
        adopt(View(number: highestNumber + 1, by: own.id, members: members), now, &actions)
        if !actions.contains(.beat) { actions.append(.beat) }
    }

    private static func ordered(_ members: [Member]) -> [Member] {
        Array(members.sorted { $0.id < $1.id }.prefix(AggregatorBeat.maximumMembers))
    }

    /// Who takes part has a status, which no broker with an access list lets a stranger have.
    func isKnown(_ other: Other) -> Bool { known[other.beat.member.id] == other.beat.member.birth }

    private func hasPassed(_ other: Other, _ now: Instant) -> Bool {
        guard let loss = losses[other.beat.member.id], now - loss <= Self.probation.memory else { return true }
        return now - other.since >= Self.probation.time
    }

    /// Waits to be let in, or begins together with the others who wait.
    private mutating func meet(_ now: Instant, _ actions: inout [Action]) {
        // What was on its way to it before is behind its own beat.
        guard let hearsSince, let lastEcho, now - lastEcho <= Self.interval * 3, own.leaving != true else { return }
        var waiting = [own]
        for id in Set(known.keys).union(others.keys) {
            guard let other = others[id], isFresh(other, now) else {
                let patience = known[id] == nil ? Self.silence : Self.longSilence
                guard now - max(hearsSince, others[id]?.heard ?? hearsSince) > patience else { return }
                continue
            }
            guard other.beat.view == nil else { return }
            if other.beat.member.leaving != true, isKnown(other) { waiting.append(other.beat.member) }
        }
        let members = Self.ordered(waiting)
        if members[0].id == own.id { propose(members, now, &actions) }
    }
}
