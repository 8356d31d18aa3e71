/// Remembers which numbered frames were answered, so that late features are told from those of new frames: bounded, pure.
struct AnsweredFrames {
    /// The most frames that are remembered one by one.
    let capacity: Int
    private var recent: Set<FrameKey> = []
    /// ``recent`` in the order of the answers, as a ring.
    private var order: [FrameKey] = []
    private var oldest = 0
    /// For each stream the highest number that is no longer in ``recent``: up to there, everything counts as answered.
    private var watermarks: [FrameKey.Stream: UInt64] = [:]

    init(capacity: Int) { self.capacity = capacity }

    /// Whether a frame was answered. A bare input never was: the same bytes again are a new frame.
    func contains(_ key: FrameKey) -> Bool {
        guard let stream = key.stream else { return false }
        return recent.contains(key) || watermarks[stream].map { key.frame <= $0 } ?? false
    }

    /// A frame was answered; bare inputs are not remembered.
    mutating func insert(_ key: FrameKey) {
        guard key.stream != nil, recent.insert(key).inserted else { return }
        if order.count < capacity {
            order.append(key)
        } else {
            raiseWatermark(order[oldest])
            order[oldest] = key
            oldest = (oldest + 1) % capacity
        }
    }

    /// Keeps of an answered frame only that it is past; without that, features that are very late would open it again.
    private mutating func raiseWatermark(_ key: FrameKey) {
        recent.remove(key)
        if let stream = key.stream { learn(stream, floor: key.frame) }
    }

    // MARK: Handing over

    /// What somebody else has to know of the sensors that he takes over: of each stream up to where everything counts as answered,
    /// and the frames after that.
    func streams(where isMeant: (String) -> Bool) -> [FrameKey.Stream: (floor: UInt64?, frames: [UInt64])] {
        var result: [FrameKey.Stream: (floor: UInt64?, frames: [UInt64])] = [:]
        for (stream, floor) in watermarks where isMeant(stream.sensor) { result[stream] = (floor, []) }
        for key in recent where isMeant(key.sensor) {
            if let stream = key.stream { result[stream, default: (nil, [])].frames.append(key.frame) }
        }
        return result
    }

    /// Up to this frame everything counts as answered.
    mutating func learn(_ stream: FrameKey.Stream, floor: UInt64) {
        // Endless sensor names do not fill the memory.
        if watermarks.count >= capacity, watermarks[stream] == nil { watermarks.removeAll(keepingCapacity: true) }
        watermarks[stream] = max(watermarks[stream] ?? 0, floor)
    }

    /// A frame was not answered after all.
    mutating func remove(_ key: FrameKey) { recent.remove(key) }
}
