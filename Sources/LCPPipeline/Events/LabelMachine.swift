/// Which label holds for a sensor: the one that enough of its latest predictions agree on. A pure state machine.
struct LabelMachine {
    /// Another label holds.
    struct Change: Hashable {
        var held: Held
        /// What held before; nil where that is not known.
        var before: Held?
        /// When the first of the predictions was made that agree, nanoseconds since 1970 UTC.
        var since: Int64
    }

    /// What holds.
    enum Held: Hashable {
        case label(String)
        /// No label is sure enough.
        case none
    }

    struct Sighting: Hashable {
        var held: Held
        var time: Int64
    }

    private let rule: EventRule
    private(set) var latest: [Sighting]
    /// What holds; nil where nothing is known.
    private(set) var held: Held?

    /// - Parameters:
    ///   - held: what is known to hold already.
    ///   - latest: what was seen already.
    init(_ rule: EventRule, held: Held? = nil, latest: [Sighting] = []) {
        (self.rule, self.held, self.latest) = (rule, held, latest.suffix(rule.window))
    }

    /// Takes a prediction.
    ///
    /// - Parameters:
    ///   - confidence: the label's probability; not-a-number is sure of nothing.
    ///   - time: nanoseconds since 1970 UTC.
    /// - Returns: what holds now, where that is something else.
    mutating func saw(_ label: String, confidence: Float, time: Int64) -> Change? {
        let seen: Held = Double(confidence) >= rule.threshold ? .label(label) : .none
        latest.append(Sighting(held: seen, time: time))
        if latest.count > rule.window { latest.removeFirst() }
        // More than half have to agree, so only what was just seen can have become enough.
        guard held != seen, latest.count(where: { $0.held == seen }) >= rule.hits,
            let first = latest.first(where: { $0.held == seen })
        else { return nil }
        defer { held = seen }
        return Change(held: seen, before: held, since: first.time)
    }
}
