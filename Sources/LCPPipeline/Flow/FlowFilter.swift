import LCPWire

/// A plan as a worker applies it to every input.
struct FlowFilter {
    private struct Stream {
        var rule: FlowPlan.Rule
        var before: FlowPlan.Rule
        var session: UInt64
        var from: UInt64
    }

    private var streams: [String: Stream] = [:]

    init(_ plan: FlowPlan = FlowPlan()) {
        streams = plan.sensors.compactMapValues { stream in
            guard let session = UInt64(stream.session), let from = UInt64(stream.from) else { return nil }
            return Stream(rule: stream.rule, before: stream.before, session: session, from: from)
        }
    }

    /// Whether every frame is computed.
    var admitsAll: Bool { streams.isEmpty }

    /// Whether a frame is to be computed.
    func admits(_ sensor: String, session: UInt64, frame: UInt64) -> Bool {
        guard let stream = streams[sensor] else { return true }
        let rule = session == stream.session && session != 0 && frame < stream.from ? stream.before : stream.rule
        return rule.admits(frame)
    }
}
