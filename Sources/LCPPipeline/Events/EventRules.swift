/// When a sensor counts as showing something else.
public struct EventRule: Sendable, Hashable {
    /// A prediction whose confidence is lower counts as none, 0 to 1.
    public var threshold = 0.0
    /// How many of the latest ``window`` predictions have to agree: more than half of them.
    public var hits = 1
    /// At most ``maximumWindow``.
    public var window = 1

    public static let maximumWindow = 100

    public init() {}
}

/// The rules of all sensors.
public struct EventRules: Sendable, Hashable {
    /// For sensors that have none of their own; nil where nothing is said of those.
    public var standard: EventRule?
    /// By the sensor's name.
    public var sensors: [String: EventRule] = [:]

    public init() {}

    /// Whether nothing is said of any sensor.
    public var isEmpty: Bool { standard == nil && sensors.isEmpty }

    /// The rule of a sensor; nil where nothing is said of it.
    public func rule(_ sensor: String) -> EventRule? { sensors[sensor] ?? standard }
}
