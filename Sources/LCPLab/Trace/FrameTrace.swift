public import Charts

/// Where the time of a frame went, on the sensor's clock: milliseconds since its capture.
public struct FrameTrace: Sendable, Hashable, Codable {
    /// What happened in a stretch of time.
    public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        /// From the capture to the encoding.
        case capture
        case encode
        /// From the sensor to the broker.
        case uplink
        /// From the broker to the branch: the copies of the others before it, too.
        case downlink
        /// In the worker, until it is its turn.
        case queue
        case decode
        case compute
        /// From the end of computing until the numbers are sent.
        case send
        /// From the worker to the broker.
        case features
        /// From the first branch's numbers to the prediction.
        case join
        /// From the aggregator to who traces.
        case prediction
    }

    public struct Span: Sendable, Hashable, Codable {
        public var kind: Kind
        public var begin: Double
        public var end: Double

        enum CodingKeys: String, CodingKey {
            case kind
            case begin = "begin_ms"
            case end = "end_ms"
        }
    }

    public struct Lane: Sendable, Hashable, Codable {
        /// For example `branch 3`.
        public var name: String
        public var spans: [Span]
    }

    public var sensor: String
    public var frame: String
    public var model: String?
    /// From capture to prediction, by the aggregator's clock.
    public var latencyMilliseconds: Double?
    public var lanes: [Lane]

    enum CodingKeys: String, CodingKey {
        case sensor, frame, model, lanes
        case latencyMilliseconds = "latency_ms"
    }

    /// The same with all times divided: those of devices for which time was dilated.
    func divided(by dilation: Double) -> FrameTrace {
        var result = self
        result.latencyMilliseconds = latencyMilliseconds.map { $0 / dilation }
        for lane in lanes.indices {
            for span in lanes[lane].spans.indices {
                result.lanes[lane].spans[span].begin /= dilation
                result.lanes[lane].spans[span].end /= dilation
            }
        }
        return result
    }

    /// The frame as a chart.
    public func chart(title: String, summary: String) -> TimelineChart {
        TimelineChart(
            title: title, summary: summary,
            lanes: lanes.map { lane in
                TimelineChart.Lane(
                    lane.name, lane.spans.map { .init($0.kind.rawValue, from: $0.begin, to: $0.end) })
            }, axis: Axis("since the capture", unit: "ms"))
    }
}

/// A device's clock beside the sensor's, milliseconds it is ahead: a range that the messages leave, since none comes before it was sent.
public struct ClockOffset: Sendable, Hashable, Encodable {
    /// For example `branch 3`, `aggregator`, or `here` for who traces.
    public var device: String
    public var lowest: Double
    public var highest: Double

    enum CodingKeys: String, CodingKey {
        case device
        case lowest = "lowest_ms"
        case highest = "highest_ms"
        case estimate = "estimate_ms"
    }

    /// 0 where that is possible, as with clocks that a network keeps; otherwise what is nearest to it.
    public var estimate: Double { lowest > highest ? (lowest + highest) / 2 : max(lowest, min(0, highest)) }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(device, forKey: .device)
        // What no message limits has no number.
        if lowest.isFinite { try values.encode(lowest, forKey: .lowest) }
        if highest.isFinite { try values.encode(highest, forKey: .highest) }
        try values.encode(estimate, forKey: .estimate)
    }
}
