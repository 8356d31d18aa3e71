import LCPWire

/// Sensors that publish bare pictures or bytes, and so have no status of their own: when each was answered last. Pure, bounded.
struct BareSensors {
    private var latest: [String: Int64] = [:]

    /// So many fit into counters with names of the greatest length.
    static let maximumCount = 32

    /// A frame of a sensor was answered.
    ///
    /// - Parameter time: nanoseconds since 1970 UTC.
    mutating func saw(_ sensor: String, time: Int64) {
        if latest[sensor] == nil, latest.count >= Self.maximumCount,
            let oldest = latest.min(by: { $0.value < $1.value })?.key
        {
            latest[oldest] = nil
        }
        latest[sensor] = time
    }

    /// The times by name (RFC 3339, UTC); nil where there are none.
    var times: [String: String]? { latest.isEmpty ? nil : latest.mapValues(Timestamp.text) }
}
