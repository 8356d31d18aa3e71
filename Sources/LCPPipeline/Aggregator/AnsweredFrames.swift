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
        guard let stream = key.stream else { return }
        // Endless sensor names do not fill the memory.
        if watermarks.count >= capacity, watermarks[stream] == nil { watermarks.removeAll(keepingCapacity: true) }
        watermarks[stream] = max(watermarks[stream] ?? 0, key.frame)
    }
}
