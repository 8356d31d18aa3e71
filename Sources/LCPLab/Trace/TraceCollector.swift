import LCPWire

/// Collects the messages of frames, and makes traces of those that are complete: no I/O.
///
/// All times are nanoseconds since 1970 on the clock of whoever wrote them, and those at which messages came here on this one's.
struct TraceCollector {
    private struct Branch {
        var header: TensorMessageHeader
        var here: Int64
    }

    private struct Frame {
        var input: (header: TensorMessageHeader, here: Int64)?
        var branches: [Int: Branch] = [:]
        var prediction: (value: Prediction, here: Int64)?
    }

    /// By sensor and frame.
    private var frames: [String: Frame] = [:]
    private var order: [String] = []
    private var offsets: [String: (lowest: Double, highest: Double)] = [:]
    /// Branches whose messages tell no times, because they are of version 1.
    private(set) var silent: Set<Int> = []
    /// Frames that are remembered at most.
    private static let maximumFrames = 256

    /// A frame of a sensor was published.
    mutating func input(_ header: TensorMessageHeader, sensor: String, here: Int64) {
        guard header.session != 0, header.captureTime > 0 else { return }
        change(sensor, header.frame) { $0.input = ($0.input?.header ?? header, $0.input?.here ?? here) }
        // It came after it was sent.
        limit("here", highest: Self.milliseconds(here - Self.sent(header)))
    }

    /// A branch's numbers were published.
    mutating func features(_ header: TensorMessageHeader, sensor: String, here: Int64) {
        guard header.session != 0 else { return }
        let branch = Int(header.branch)
        guard let times = header.version2, times.receiveTime > 0, times.sendTime > 0 else {
            silent.insert(branch)
            return
        }
        change(sensor, header.frame) {
            if $0.branches[branch] == nil { $0.branches[branch] = Branch(header: header, here: here) }
        }
    }

    /// A prediction was published.
    ///
    /// - Returns: the frame's trace, where all of its messages were seen.
    mutating func prediction(_ prediction: Prediction, here: Int64) -> FrameTrace? {
        guard let number = UInt64(prediction.frame) else { return nil }
        let key = "\(number) \(prediction.sensor)"
        guard var frame = frames[key], let input = frame.input,
            prediction.branches.allSatisfy({ frame.branches[$0] != nil })
        else { return nil }
        frame.prediction = (prediction, here)
        frames[key] = nil
        learn(frame, input)
        return trace(frame, input, prediction, here)
    }

    /// What the clocks may differ by.
    var clocks: [ClockOffset] {
        offsets.map { ClockOffset(device: $0.key, lowest: $0.value.lowest, highest: $0.value.highest) }
            .sorted { ($0.device.count, $0.device) < ($1.device.count, $1.device) }
    }

    private mutating func change(_ sensor: String, _ number: UInt64, _ body: (inout Frame) -> Void) {
        let key = "\(number) \(sensor)"
        if frames[key] == nil {
            order.append(key)
            while order.count > Self.maximumFrames { frames[order.removeFirst()] = nil }
        }
        body(&frames[key, default: Frame()])
    }

    private static func milliseconds(_ nanoseconds: Int64) -> Double { Double(nanoseconds) / 1e6 }

    /// When a sensor sent a frame: pixels as they are say nothing but when they were captured.
    private static func sent(_ header: TensorMessageHeader) -> Int64 {
        let sent = header.version2?.sendTime ?? 0
        return sent > 0 ? sent : header.captureTime
    }

    // MARK: Clocks

    private mutating func limit(_ device: String, lowest: Double = -.infinity, highest: Double = .infinity) {
        let now = offsets[device] ?? (-.infinity, .infinity)
        offsets[device] = (max(now.lowest, lowest), min(now.highest, highest))
    }

    private func offset(_ device: String) -> Double {
        offsets[device].map { ClockOffset(device: device, lowest: $0.lowest, highest: $0.highest).estimate } ?? 0
    }

    /// Narrows the clocks down: no message comes before it was sent.
    private mutating func learn(_ frame: Frame, _ input: (header: TensorMessageHeader, here: Int64)) {
        let sent = Self.sent(input.header)
        let here = offset("here")
        for (branch, answer) in frame.branches {
            guard let times = answer.header.version2 else { continue }
            limit(
                "branch \(branch)", lowest: Self.milliseconds(times.sendTime - answer.here) + here,
                highest: Self.milliseconds(times.receiveTime - sent))
        }
        guard let prediction = frame.prediction, let latency = prediction.value.latencyMilliseconds else { return }
        // When it was made, on the aggregator's clock, since the capture on the sensor's.
        let capture = input.header.captureTime
        limit("aggregator", lowest: latency - Self.milliseconds(prediction.here - capture) + here)
        let last = frame.branches.map { branch, answer in
            Self.milliseconds((answer.header.version2?.sendTime ?? 0) - capture) - offset("branch \(branch)")
        }.max()
        if let last { limit("aggregator", highest: latency - last) }
    }

    // MARK: Spans

    private func trace(
        _ frame: Frame, _ input: (header: TensorMessageHeader, here: Int64), _ prediction: Prediction, _ here: Int64
    ) -> FrameTrace {
        let capture = input.header.captureTime
        func time(_ stamp: Int64, _ device: String?) -> Double {
            Self.milliseconds(stamp - capture) - (device.map(offset) ?? 0)
        }
        func span(_ kind: FrameTrace.Kind, _ begin: Double, _ end: Double) -> FrameTrace.Span {
            FrameTrace.Span(kind: kind, begin: begin, end: max(begin, end))
        }
        let sent = time(Self.sent(input.header), nil)
        let encode = Double(input.header.version2?.encodeTime ?? 0) / 1000
        let broker = max(sent, time(input.here, "here"))
        var lanes = [
            FrameTrace.Lane(
                name: "sensor",
                spans: [
                    span(.capture, 0, max(0, sent - encode)), span(.encode, max(0, sent - encode), sent),
                    span(.uplink, sent, broker),
                ])
        ]
        for (branch, answer) in frame.branches.sorted(by: { $0.key < $1.key }) {
            let (header, device) = (answer.header, "branch \(branch)")
            let times = header.version2 ?? .init()
            let received = time(times.receiveTime, device)
            let begin = received + Double(header.queueTime) / 1000
            let decoded = begin + Double(times.decodeTime) / 1000
            let computed = decoded + Double(header.computeTime) / 1000
            let left = time(times.sendTime, device)
            lanes.append(
                FrameTrace.Lane(
                    name: device,
                    spans: [
                        span(.downlink, min(broker, received), received), span(.queue, received, begin),
                        span(.decode, begin, decoded), span(.compute, decoded, computed), span(.send, computed, left),
                        span(.features, left, time(answer.here, "here")),
                    ]))
        }
        if let latency = prediction.latencyMilliseconds {
            let made = latency - offset("aggregator")
            lanes.append(
                FrameTrace.Lane(
                    name: "aggregator",
                    spans: [
                        span(.join, made - (prediction.joinMilliseconds ?? 0), made),
                        span(.prediction, made, time(here, "here")),
                    ]))
        }
        return FrameTrace(
            sensor: prediction.sensor, frame: prediction.frame, model: prediction.model,
            latencyMilliseconds: prediction.latencyMilliseconds, lanes: lanes)
    }
}
