import LCPWire

/// Where a sensor's frames go: to the lanes that the pipeline's plan names, in turn, or where the broker chooses among the
/// workers. It keeps the latest frames, for the case that one is asked for again. Pure.
struct FrameDealer {
    private struct Recent {
        var number: UInt64
        var message: [UInt8]
        var repeats = 0
    }

    private let sensor: String
    private let session: UInt64
    private let topics: Topics
    private let input: String
    private var laneTopics: [Int: String] = [:]
    private var recent: [Recent] = []
    private var recentBytes = 0
    /// What the pipeline's plan says.
    var plan = FlowPlan() { didSet { adapt() } }
    /// The lanes that workers say they receive: a plan that names others is a stranger's, or of workers that are gone.
    var announcedLanes: Set<Int> = [] { didSet { if announcedLanes != oldValue { adapt() } } }
    /// The plan, as far as it can be followed.
    private var valid = FlowPlan()

    /// What is kept; the newest always.
    static let maximumFrames = 256
    static let maximumBytes = 16 << 20
    /// How often a frame is sent again.
    static let maximumRepeats = 2

    init(sensor: String, session: UInt64, topics: Topics) {
        (self.sensor, self.session, self.topics) = (sensor, session, topics)
        input = topics.input(sensor)
    }

    /// Whether there is any that could be asked for again.
    var keepsFrames: Bool { !recent.isEmpty }

    /// Where a frame is published.
    ///
    /// - Parameter attempt: how often it was sent before; another lane may do what one has not.
    mutating func topic(of frame: UInt64, attempt: Int = 0) -> String {
        guard let lane = valid.lane(of: frame &+ UInt64(attempt), session: session, sensor: sensor) else {
            return input
        }
        return laneTopic(lane)
    }

    private mutating func laneTopic(_ lane: Int) -> String {
        if let known = laneTopics[lane] { return known }
        let topic = topics.lane(lane, sensor)
        laneTopics[lane] = topic
        return topic
    }

    /// A frame was sent.
    mutating func sent(_ frame: UInt64, _ message: [UInt8]) {
        guard valid.lanes != nil else { return }
        recent.append(Recent(number: frame, message: message))
        recentBytes += message.count
        guard recent.count > 1, recent.count > 2 * Self.maximumFrames || recentBytes > 2 * Self.maximumBytes else {
            return
        }
        // Now and then a half, so that little is moved.
        var kept = 0
        let first =
            recent.indices.reversed().prefix(Self.maximumFrames).prefix { index in
                kept += recent[index].message.count
                return kept <= Self.maximumBytes || index == recent.count - 1
            }.last ?? recent.count - 1
        recent.removeFirst(first)
        recentBytes = recent.reduce(0) { $0 + $1.message.count }
    }

    /// What was sent is kept: while lanes change, there may be none for a moment.
    private mutating func adapt() {
        valid = plan
        if let lanes = plan.lanes, !announcedLanes.isSuperset(of: lanes) { valid.lanes = nil }
    }

    /// The frame that is asked for, with the branches that are wanted, and where it is to be published; nil where it is not kept
    /// any more, or was sent often enough.
    mutating func `repeat`(_ request: RepeatRequest) -> (topic: String, message: [UInt8])? {
        guard UInt64(request.session) == session, let number = UInt64(request.frame),
            let index = recent.lastIndex(where: { $0.number == number }),
            recent[index].repeats < Self.maximumRepeats
        else { return nil }
        let message: [UInt8]? = recent[index].message.withUnsafeBytes { bytes in
            guard var header = try? TensorMessage.decode(bytes) else { return nil }
            let data = UnsafeRawBufferPointer(rebasing: bytes[header.size...])
            var version2 = header.version2 ?? .init()
            version2.wantedBranches = request.mask
            header.version2 = version2
            return TensorMessage.encode(header, data: data)
        }
        guard let message else { return nil }
        recent[index].repeats += 1
        return (laneTopic(request.lane), message)
    }
}
