import LCPWire
import MQTT

/// What an aggregator keeps while it shares the sensors with others: which it answers, what came of those that it will answer,
/// and what it still has to tell. It lives on the aggregator's event loop.
final class SharedSensors {
    /// Features that came before it was known who answers them.
    struct Kept {
        var topic: String
        var payload: [UInt8]
        var bucket: Int
    }

    private struct Arrival {
        var session: UInt64
        var frame: UInt64
        var count: Int
        var time: ContinuousClock.Instant
    }

    var group: AggregatorGroup
    /// The buckets whose features are received by topics of their own.
    var received: Set<Int> = []
    /// The view for which what is given away is being answered.
    var finishing: AggregatorGroup.View?
    /// Whether others have answered while this one was not let in.
    var othersAnswer = false
    /// Called when everything has been given away.
    var left: (() -> Void)?
    private(set) var kept: [Kept] = []
    private var keptBytes = 0
    /// What was answered since the last beat.
    private var notes: [FrameKey.Stream: [ClosedRange<UInt64>]] = [:]
    /// The latest bare inputs that were answered: they have no numbers that would tell.
    private var bare: [FrameKey] = []
    /// Bare inputs that others have answered of what is kept.
    private var answeredElsewhere: Set<FrameKey> = []
    private var missed: UInt64 = 0
    private var arrivals: [String: Arrival] = [:]
    private var branches: [AggregatorBeat.Load.Branch] = []
    /// Until when frames may have begun with somebody who is gone, by buckets.
    private var takeovers: [Int: ContinuousClock.Instant] = [:]

    private static let maximumKeptBytes = 64 << 20
    private static let maximumBare = 256
    private static let maximumNames = 4096

    init(_ group: AggregatorGroup) { self.group = group }

    // MARK: What is kept

    /// Keeps features; where they are too many, the oldest are given up.
    func keep(_ topic: String, _ payload: UnsafeRawBufferPointer, _ bucket: Int) {
        kept.append(Kept(topic: topic, payload: Array(payload), bucket: bucket))
        keptBytes += payload.count
        while keptBytes > Self.maximumKeptBytes, !kept.isEmpty { keptBytes -= kept.removeFirst().payload.count }
    }

    /// What is kept of these buckets, and no longer kept.
    func take(_ buckets: Set<Int>) -> [Kept] {
        let taken = kept.filter { buckets.contains($0.bucket) }
        keep(where: { !buckets.contains($0) })
        return taken
    }

    func keep(where isMeant: (Int) -> Bool) {
        kept.removeAll { !isMeant($0.bucket) }
        keptBytes = kept.reduce(0) { $0 + $1.payload.count }
    }

    /// What comes from now on nobody else has answered: the same bytes again are another frame.
    func forgetAnsweredElsewhere() { answeredElsewhere = [] }

    /// Whether somebody else has answered what is kept.
    func wasAnsweredElsewhere(_ key: FrameKey) -> Bool { answeredElsewhere.contains(key) }

    // MARK: Takeovers

    /// These buckets were somebody's who is gone: what he had begun is not known.
    func tookOver(_ buckets: Set<Int>, until end: ContinuousClock.Instant) {
        for bucket in buckets { takeovers[bucket] = end }
    }

    /// Whether a frame that lacks branches may have begun with who answered its sensor before.
    func mayHaveBegunElsewhere(_ frame: JoinTable.Frame) -> Bool {
        guard !takeovers.isEmpty, let end = takeovers[SensorBuckets.bucket(of: frame.key.sensor)] else { return false }
        return frame.opened < end
    }

    // MARK: What is told

    /// A frame was answered, without some branches.
    func answered(_ key: FrameKey, missing: UInt64) {
        if key.stream == nil {
            if bare.count >= Self.maximumBare { bare.removeFirst(Self.maximumBare / 2) }
            bare.append(key)
        }
        // Who is alone tells nobody; whoever comes is told of what was answered before.
        guard group.isShared else { return }
        missed |= missing
        let stream = key.stream ?? FrameKey.Stream(sensor: key.sensor, session: 0)
        guard notes[stream] != nil || notes.count < Self.maximumNames else { return }
        notes[stream, default: []].extend(with: key.frame, most: Int(AggregatorBeat.maximumFrames / 2))
    }

    /// A branch's share of a frame came, which somebody else has to know of to say which frames are computed.
    func came(_ sensor: String, _ header: TensorMessageHeader, now: ContinuousClock.Instant) {
        let branch = Int(header.branch)
        while branches.count <= branch { branches.append(.init(shares: 0, queue: 0, compute: 0)) }
        branches[branch] = .init(
            shares: branches[branch].shares + 1, queue: header.queueTime, compute: header.computeTime)
        guard branch == 0, arrivals[sensor] != nil || arrivals.count < FlowPlan.maximumSensors else { return }
        let before = arrivals[sensor].flatMap { $0.session == header.session ? $0 : nil }
        guard header.session == 0 || before.map({ header.frame > $0.frame }) ?? true else { return }
        arrivals[sensor] = Arrival(
            session: header.session, frame: header.frame, count: (before?.count ?? 0) + 1,
            time: now - .microseconds(Int64(header.queueTime) + Int64(header.computeTime)))
    }

    /// Takes what came since the last beat; nil where nothing did.
    func takeLoad(_ now: ContinuousClock.Instant) -> AggregatorBeat.Load? {
        defer { (arrivals, branches) = ([:], []) }
        guard !branches.isEmpty else { return nil }
        let sensors = arrivals.prefix(1024).map { sensor, seen in
            AggregatorBeat.Load.Sensor(
                sensor: sensor, session: seen.session, frame: seen.frame, count: seen.count,
                age: UInt32(clamping: Int((now - seen.time).milliseconds * 1000)))
        }
        return AggregatorBeat.Load(sensors: sensors, branches: branches)
    }

    /// Takes what was answered since the last beat.
    func takeNotes() -> (streams: [AggregatorBeat.Stream], missed: UInt64?) {
        defer { (notes, missed) = ([:], 0) }
        let streams = notes.map { stream, ranges in
            AggregatorBeat.Stream(sensor: stream.sensor, session: stream.session, answered: ranges)
        }
        return (streams, missed == 0 ? nil : missed)
    }

    /// The bare inputs that were answered lately, of some buckets.
    func bareStreams(_ buckets: Set<Int>) -> [AggregatorBeat.Stream] {
        Dictionary(grouping: bare.filter { buckets.contains(SensorBuckets.bucket(of: $0.sensor)) }, by: \.sensor).map {
            sensor, keys in
            AggregatorBeat.Stream(sensor: sensor, session: 0, answered: keys.map { $0.frame...$0.frame })
        }
    }

    /// Somebody else has answered bare inputs.
    func learnBare(_ sensor: String, _ ranges: [ClosedRange<UInt64>]) {
        for range in ranges.prefix(Self.maximumBare) where answeredElsewhere.count < Self.maximumNames {
            answeredElsewhere.insert(FrameKey(sensor: sensor, session: 0, frame: range.lowerBound))
        }
    }
}
