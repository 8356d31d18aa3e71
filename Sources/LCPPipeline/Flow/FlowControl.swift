import LCPWire
import Platform

/// Notices that more frames come than the slowest branch can compute, and chooses which ones are: a pure state machine with time
/// passed in.
///
/// All that it needs is in the features that the aggregator receives: how long every frame waited and was computed, and its
/// number, which tells how many the sensor has sent. What the slowest branch can do is dealt out to the sensors max-min fairly
/// (Bertsekas and Gallager, *Data Networks*, 6.5.2): a sensor that sends little is answered in full. The frames of several
/// sensors are spread over time, so that they do not wait for each other.
struct FlowControl {
    private struct Sensor {
        var session: UInt64
        /// The frame with the highest number, and when it reached a worker.
        var newest: (frame: UInt64, arrival: ContinuousClock.Instant)
        /// When the first share of that frame was received.
        var heard: ContinuousClock.Instant
        /// The same when the rate was last measured.
        var measured: (frame: UInt64, arrival: ContinuousClock.Instant)
        /// Frames a second; nil until it is known.
        var rate: Double?
        /// Frames without numbers since the rate was last measured, and the latest of them, of which more shares may come.
        var unnumbered = 0
        var latest: [UInt64] = []
        var rule = FlowPlan.Rule()
        var before = FlowPlan.Rule()
        var from: UInt64 = 0
    }

    private struct Branch {
        /// The latest compute times, seconds.
        var computeTimes = Latest()
        var queueTimes = Latest()
        /// Shares that it sent.
        var shares = 0.0
    }

    /// Looks in a row that find more frames than can be computed, and what had been received before the first of them.
    private struct Overload {
        var looks = 0
        var admitted: Double
        var shares: [Double]
    }

    /// The part of a frame's compute time that frames may wait, on the average, before there is too much to do.
    private let tolerance: Double
    private var sensors: [String: Sensor] = [:]
    private var branches: [Branch]
    private var lastChange: ContinuousClock.Instant?
    /// The frames that the sensors have sent, and that were not left out.
    private var admitted = 0.0
    private var overload: Overload
    private(set) var plan = FlowPlan()
    private var isDealt = false

    /// The load that is aimed at, of what the slowest branch can do.
    private static let target = 0.9
    /// The same where frames are dealt to lanes, each of which gets what it can do.
    private static let dealtTarget = 0.95
    /// Where more is aimed at later, it is this: a little less, so that it does not go to and fro.
    private static let easing = 0.85
    /// What has to be gained by that: where frames are dealt, rules are finer.
    private static let worthwhileGain = (shared: 1.15, dealt: 1.02)
    private static let easingInterval = Duration.seconds(2)
    /// A sensor is forgotten of which nothing was received for so long; where branches are slow, for as long as three frames of each
    /// take, up to a minute.
    private static let silence = (shortest: 2.0, frames: 3.0, longest: 60.0)
    /// The most frames of which one is computed.
    private static let longestPeriod = 1e6
    /// A plan holds from the frames on that come so much later: by then all workers have it.
    private static let notice = 0.05
    /// A second plan waits until the first one holds.
    private static let changeInterval = Duration.milliseconds(200)
    /// Where nothing is seen to wait: looks in a row, and the frames without a share of the slowest branch, as a number and as a
    /// part of all.
    private static let unseen = (looks: 10, frames: 2.0, part: 0.05)
    /// Frames of one sensor that a branch may be ahead of another.
    private static let latestFrames = 32
    /// Of so many frames some are computed, where sensors deal them.
    private static let finest: UInt64 = 128
    /// How often a plan is looked at.
    static let interval = Duration.milliseconds(50)

    init(branchCount: Int, policy: FramePolicy, queueLimit: Int) {
        tolerance =
            switch policy {
            case .latest: 0.25
            case .all: 0.5 * Double(queueLimit)
            }
        branches = Array(repeating: Branch(), count: branchCount)
        overload = Overload(admitted: 0, shares: Array(repeating: 0, count: branchCount))
    }

    /// Frames a second that all sensors send, as far as is known.
    var demand: Double { sensors.values.reduce(0) { $0 + ($1.rate ?? 0) } }

    /// Whether there is anything to look at.
    var isIdle: Bool { sensors.isEmpty && plan.sensors.isEmpty }

    /// A branch sent its share of a frame, which waited and was computed for so long, in microseconds.
    mutating func came(
        _ sensor: String, session: UInt64, frame: UInt64, branch: Int, queue: UInt32, compute: UInt32,
        now: ContinuousClock.Instant
    ) {
        branches[branch].computeTimes.add(Double(compute) / 1e6)
        branches[branch].queueTimes.add(Double(queue) / 1e6)
        branches[branch].shares += 1
        saw(
            sensor, session: session, frame: frame, arrival: now - .microseconds(Int64(queue) + Int64(compute)),
            now: now)
    }

    /// What came to another aggregator.
    mutating func heard(_ load: AggregatorBeat.Load, now: ContinuousClock.Instant) {
        for (branch, seen) in zip(branches.indices, load.branches) where seen.shares > 0 {
            branches[branch].computeTimes.add(Double(seen.compute) / 1e6)
            branches[branch].queueTimes.add(Double(seen.queue) / 1e6)
            branches[branch].shares += Double(seen.shares)
        }
        for seen in load.sensors {
            guard let session = UInt64(seen.session), let frame = UInt64(seen.frame) else { continue }
            saw(
                seen.sensor, session: session, frame: frame, count: seen.count,
                arrival: now - .microseconds(Int64(seen.age)), now: now)
        }
    }

    /// A sensor's newest frame reached a worker.
    ///
    /// - Parameter count: of frames without numbers, how many did.
    private mutating func saw(
        _ sensor: String, session: UInt64, frame: UInt64, count: Int = 1, arrival: ContinuousClock.Instant,
        now: ContinuousClock.Instant
    ) {
        guard var known = sensors[sensor], known.session == session else {
            guard sensors.count < FlowPlan.maximumSensors || sensors[sensor] != nil else { return }
            var fresh = Sensor(session: session, newest: (frame, arrival), heard: now, measured: (frame, arrival))
            if session == 0 { fresh.latest = [frame] }
            // A sensor that began anew goes on under its rule.
            if let before = sensors[sensor] {
                (fresh.rule, fresh.before, fresh.rate) = (before.rule, before.rule, before.rate)
            }
            sensors[sensor] = fresh
            admitted += 1
            return
        }
        if session == 0 {
            // Where branches leave frames out without a plan, each computes others.
            guard !known.latest.contains(frame) else { return }
            if known.latest.count == Self.latestFrames { known.latest.removeFirst() }
            known.latest.append(frame)
            known.unnumbered += count
            admitted += Double(count)
        } else {
            guard frame > known.newest.frame else { return }
            admitted += Double(frame - known.newest.frame) * known.rule.share
        }
        known.newest = (frame, arrival)
        known.heard = now
        sensors[sensor] = known
    }

    /// Looks at the load.
    ///
    /// - Parameters:
    ///   - replicas: how many workers serve each branch.
    ///   - laneRate: frames a second that all lanes can do, where frames are dealt to lanes.
    /// - Returns: a new plan, where there is one.
    mutating func evaluate(replicas: [Int], laneRate: Double? = nil, now: ContinuousClock.Instant) -> FlowPlan? {
        // Those who share a branch are not alike: what the broker deals out in turn, lanes deal out as each can.
        let capacity = laneRate ?? capacity(replicas)
        isDealt = laneRate != nil
        forgetSilent(now, capacity)
        measureRates()
        guard let capacity else { return nil }
        let demand = demand
        let load = sensors.values.reduce(0) { $0 + ($1.rate ?? 0) * $1.rule.share }
        if let lastChange, now - lastChange < Self.changeInterval { return nil }
        guard load > capacity else {
            overload = Overload(admitted: admitted, shares: branches.map(\.shares))
            return ease(capacity, demand, load, replicas, now)
        }
        overload.looks += 1
        if isWaiting(replicas) || isLosing(replicas) {
            overload = Overload(admitted: admitted, shares: branches.map(\.shares))
            return change(to: rules(share: capacity * (isDealt ? Self.dealtTarget : Self.target), replicas, now), now)
        }
        return ease(capacity, demand, load, replicas, now)
    }

    /// A plan that admits more, where that is possible.
    private mutating func ease(
        _ capacity: Double, _ demand: Double, _ load: Double, _ replicas: [Int], _ now: ContinuousClock.Instant
    ) -> FlowPlan? {
        guard !plan.sensors.isEmpty, let lastChange, now - lastChange >= Self.easingInterval else { return nil }
        if demand <= capacity * Self.easing { return change(to: [:], now) }
        let eased = rules(share: capacity * (isDealt ? Self.dealtTarget : Self.easing), replicas, now)
        let gained = sensors.reduce(0) { $0 + ($1.value.rate ?? 0) * (eased[$1.key]?.share ?? 1) }
        return gained > (isDealt ? Self.worthwhileGain.dealt : Self.worthwhileGain.shared) * load
            ? change(to: eased, now) : nil
    }

    private mutating func forgetSilent(_ now: ContinuousClock.Instant, _ capacity: Double?) {
        let turns = capacity.map { Self.silence.frames * Double(sensors.count) / $0 } ?? 0
        let longest = Duration.seconds(min(max(Self.silence.shortest, turns), Self.silence.longest))
        sensors = sensors.filter { now - $0.value.heard <= longest }
    }

    private mutating func measureRates() {
        for (name, sensor) in sensors {
            let seconds = (sensor.newest.arrival - sensor.measured.arrival) / .seconds(1)
            // The first measure may be rough; later ones have time.
            guard seconds >= (sensor.rate == nil ? 0.05 : 0.1) else { continue }
            let frames =
                sensor.session == 0
                ? Double(sensor.unnumbered) / sensor.rule.share
                : Double(sensor.newest.frame - sensor.measured.frame)
            // One that jumps over numbers has not sent those in between.
            let rate = min(frames / seconds, 1e6)
            sensors[name]!.rate = sensor.rate.map { 0.6 * $0 + 0.4 * rate } ?? rate
            sensors[name]!.measured = sensor.newest
            sensors[name]!.unnumbered = 0
        }
    }

    /// Frames a second that the slowest branch can do; nil while that is unknown.
    private func capacity(_ replicas: [Int]) -> Double? {
        zip(branches, replicas).compactMap { branch, count in
            guard count > 0, let time = branch.computeTimes.median, time > 0 else { return nil }
            return Double(count) / time
        }.min()
    }

    private func isWaiting(_ replicas: [Int]) -> Bool {
        zip(branches, replicas).contains { branch, count in
            guard count > 0, let time = branch.computeTimes.median, let wait = branch.queueTimes.mean else {
                return false
            }
            return wait > tolerance * time
        }
    }

    /// A branch that computes on the connection's thread reads no frame before it computes it, so that nothing is seen to wait: for a
    /// while, more frames came than it sent shares. One that sends a frame when the last one is answered loses none.
    private func isLosing(_ replicas: [Int]) -> Bool {
        guard overload.looks >= Self.unseen.looks else { return false }
        let frames = admitted - overload.admitted
        return branches.indices.contains { branch in
            guard replicas[branch] > 0 else { return false }
            let lost = frames - (branches[branch].shares - overload.shares[branch])
            return lost >= Self.unseen.frames && lost > Self.unseen.part * frames
        }
    }

    /// The rules under which all sensors together send `share` frames a second at most.
    private func rules(share: Double, _ replicas: [Int], _ now: ContinuousClock.Instant) -> [String: FlowPlan.Rule] {
        var rest = share
        var result: [String: FlowPlan.Rule] = [:]
        let known = sensors.compactMap { name, sensor in sensor.rate.map { (name: name, rate: $0) } }
            .sorted { ($0.rate, $0.name) < ($1.rate, $1.name) }
        for (index, sensor) in known.enumerated() {
            // Those that send fastest may leave nothing: also of them a frame is computed now and then.
            let fair = max(0, rest / Double(known.count - index))
            let wanted = min((sensor.rate / fair - 0.01).rounded(.up), Self.longestPeriod)
            let part = (fair / sensor.rate * Double(Self.finest)).rounded(.down)
            var rule = FlowPlan.Rule()
            if sensor.rate > fair {
                // Sensors that deal their frames choose as finely as it needs.
                rule =
                    isDealt && part >= 2
                    ? .init(every: Self.finest, count: UInt64(min(part, Double(Self.finest - 1))))
                    : .init(every: coprime(UInt64(wanted), replicas))
                result[sensor.name] = rule
            }
            rest -= sensor.rate * rule.share
        }
        // The frames of one sensor lie a period apart: those of the others come in between.
        let names = result.keys.sorted()
        for (index, name) in names.enumerated() {
            let (every, sensor) = (result[name]!.every, sensors[name]!)
            guard sensor.session != 0, result[name]!.count == nil, let rate = sensor.rate else { continue }
            let period = Double(every) / rate
            let wanted = period * Double(index) / Double(names.count)
            let sinceNewest = (now - sensor.newest.arrival) / .seconds(1)
            func distance(_ step: UInt64) -> Double {
                let time = Double(step) / rate - sinceNewest
                let offset = (time - wanted).truncatingRemainder(dividingBy: period)
                let positive = offset < 0 ? offset + period : offset
                return min(positive, period - positive)
            }
            let step = (0..<min(every, 4096)).min { distance($0) < distance($1) } ?? 0
            result[name]!.phase = (sensor.newest.frame % every + step) % every
        }
        return result
    }

    /// At least `every`, and sharing no factor with the number of any branch's replicas: the broker deals the frames out in turn, and
    /// all would fall to the same one.
    private func coprime(_ every: UInt64, _ replicas: [Int]) -> UInt64 {
        guard !isDealt else { return every }
        func divisor(_ a: UInt64, _ b: UInt64) -> UInt64 { b == 0 ? a : divisor(b, a % b) }
        var every = every
        while replicas.contains(where: { $0 > 1 && divisor(every, UInt64($0)) != 1 }) { every += 1 }
        return every
    }

    private mutating func change(
        to rules: [String: FlowPlan.Rule], _ now: ContinuousClock.Instant
    ) -> FlowPlan? {
        let isNew = sensors.contains { name, sensor in
            let rule = rules[name] ?? FlowPlan.Rule()
            // What held before is no longer named once it is long past.
            return rule != sensor.rule || rule.every == 1 && sensor.before.every > 1
        }
        guard isNew || sensors.isEmpty else { return nil }
        lastChange = now
        var next = FlowPlan()
        for name in sensors.keys {
            var sensor = sensors[name]!
            sensor.before = sensor.rule
            sensor.rule = rules[name] ?? FlowPlan.Rule()
            let seconds = (now - sensor.newest.arrival) / .seconds(1) + Self.notice
            let ahead = UInt64((sensor.rate ?? 0) * seconds) + 2
            let (from, overflow) = sensor.newest.frame.addingReportingOverflow(ahead)
            sensor.from = sensor.session == 0 || overflow ? 0 : from
            sensors[name] = sensor
            if sensor.rule.every > 1 || sensor.before.every > 1 {
                next.sensors[name] = .init(
                    rule: sensor.rule, before: sensor.before, session: sensor.session, from: sensor.from)
            }
        }
        plan = next
        return next
    }
}
