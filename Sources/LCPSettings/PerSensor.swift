/// A value for all sensors, and others for some of them, as one text: `0.6`, `0.6,door=0.8` or `door=0.8`.
public struct PerSensor<Value: Sendable & Hashable>: Sendable, Hashable {
    /// For those that have none of their own.
    public var standard: Value?
    /// By the sensor's name.
    public var sensors: [String: Value] = [:]

    /// Reads the text.
    ///
    /// - Parameter read: reads a value; nil for what is none.
    /// - Returns: nil where a part is none, or something is said twice.
    package init?(_ text: String, _ read: (String) -> Value?) {
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                .map { String($0.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
            guard let value = read(sides[sides.count - 1]) else { return nil }
            if sides.count == 1 {
                guard standard == nil else { return nil }
                standard = value
            } else {
                guard sides[0].isTopicLevel, sensors[sides[0]] == nil else { return nil }
                sensors[sides[0]] = value
            }
        }
    }
}

/// So many of so many predictions.
public struct Majority: Sendable, Hashable {
    public var hits: Int
    public var window: Int

    /// Reads `3/5`; nil for anything but more than half of at most `limit`.
    package init?(_ text: String, limit: Int) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let hits = parts[0], let window = parts[1], (1...limit).contains(window),
            hits <= window, hits > window - hits
        else { return nil }
        (self.hits, self.window) = (hits, window)
    }
}
