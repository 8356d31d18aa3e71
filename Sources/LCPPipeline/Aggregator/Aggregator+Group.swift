import LCPWire
import MQTT
import Platform

/// Aggregators that share the sensors.
extension Aggregator {
    /// Looks for others, and tells them of this one, where the broker lets it.
    func meetOthers() async throws {
        let (client, topics) = (session.client, session.topics)
        guard try await session.passes(topics.group(session.status.id)) else { return }
        var group = AggregatorGroup(id: session.status.id, birth: session.status.birth, now: .now)
        group.models = session.status.models ?? []
        shared = SharedSensors(group)
        groupSubscriptions = [
            try await client.subscribe(
                to: topics.groups, options: .init(qos: .atLeastOnce, receivesRetained: false)
            ) { [weak self] message in
                let (topic, json) = (message.topic, Array(message.payload))
                self?.assumeIsolated { $0.heardBeat(topic, json) }
            },
            try await session.subscribe(toStatuses: topics.statuses(.aggregator)) { [weak self, session] message in
                guard let other = RoleStatus(message, topics: session.topics), other.id != session.status.id else {
                    return
                }
                self?.assumeIsolated { $0.heardOther(other) }
            },
        ]
        // What the broker has kept comes before its answer to this.
        try await session.publishStatus { $0.sharesSensors = true }
    }

    /// Is let in, or answers alone.
    func joinGroup() {
        guard let shared else { return }
        performGroup(shared.group.start())
        scheduleGroup()
    }

    /// Gives everything to the others, before it ends.
    func leaveGroup() async {
        guard let shared else { return }
        let (ended, continuation) = AsyncStream.makeStream(of: Void.self)
        shared.left = { continuation.finish() }
        let timer = session.client.eventLoop.schedule(after: session.deadline + .seconds(2)) { continuation.finish() }
        performGroup(shared.group.leave(now: .now))
        // Not as part of a task that is cancelled.
        await Task { for await _ in ended {} }.value
        timer.cancel()
    }

    private func scheduleGroup() {
        groupTimer = session.client.eventLoop.schedule(after: AggregatorGroup.interval) { [weak self] in
            self?.assumeIsolated {
                guard let shared = $0.shared else { return }
                $0.performGroup(shared.group.tick(now: .now))
                $0.scheduleGroup()
            }
        }
    }

    // MARK: What may be answered

    /// Whether nothing may be answered until it is let in again.
    var isPaused: Bool {
        guard let shared else { return false }
        let actions = shared.group.check(now: .now)
        if !actions.isEmpty { performGroup(actions) }
        return !shared.group.isIn
    }

    /// What may be done with features.
    func right(to topic: String) -> AggregatorGroup.Right {
        guard let shared else { return .answer }
        let actions = shared.group.check(now: .now)
        if !actions.isEmpty { performGroup(actions) }
        // One that answers everything need not look for the sensor.
        if shared.group.holds.count == SensorBuckets.count { return .answer }
        return shared.group.right(SensorBuckets.bucket(of: Topics.sensor(of: topic)))
    }

    func keep(_ topic: String, _ payload: UnsafeRawBufferPointer) {
        guard let shared else { return }
        let bucket = SensorBuckets.bucket(of: Topics.sensor(of: topic))
        let isKept = shared.group.isIn ? shared.group.owns(bucket) : !shared.othersAnswer
        if isKept { shared.keep(topic, payload, bucket) }
    }

    /// Whether an answer is this one's to give. One that may lack only what came to an aggregator that is gone is not given:
    /// the sensor sends the frame again.
    func mayAnswer(_ frame: JoinTable.Frame, missing: UInt64) -> Bool {
        guard let shared else { return true }
        guard !isPaused else { return false }
        switch shared.group.right(SensorBuckets.bucket(of: frame.key.sensor)) {
        case .answer: return missing == 0 || !shared.mayHaveBegunElsewhere(frame)
        case .finish: return true
        case .keep, .none: return false
        }
    }

    // MARK: What others say

    private func heardBeat(_ topic: String, _ json: [UInt8]) {
        guard let shared else { return }
        guard let beat = AggregatorBeat(json), topic == session.topics.group(beat.member.id) else {
            // The trial of whether this may be said.
            if json != [1] { drop("bad_beat", "\(topic): it is not what an aggregator says") }
            return
        }
        let isOther = beat.member.id != session.status.id
        if isOther, beat.view != nil, !shared.group.isIn { shared.othersAnswer = true }
        if isOther, shared.group.isIn(beat.member.id) {
            for stream in beat.streams ?? [] { learn(stream) }
            supervisor?.assumeIsolated { supervisor in
                if let missed = beat.missed { supervisor.missed(missed, now: .now) }
                if let load = beat.load { supervisor.heard(load) }
                for late in beat.late ?? [] {
                    guard let session = UInt64(late.session), let frame = UInt64(late.frame) else { continue }
                    supervisor.ask(
                        FrameKey(sensor: late.sensor, session: session, frame: frame), missing: late.missing)
                }
            }
        }
        performGroup(shared.group.heard(beat, now: .now))
    }

    private func learn(_ stream: AggregatorBeat.Stream) {
        guard let shared, let number = UInt64(stream.session),
            !shared.group.holds.contains(SensorBuckets.bucket(of: stream.sensor))
        else { return }
        if number == 0 {
            shared.learnBare(stream.sensor, stream.ranges)
        } else {
            joiner.learn(
                FrameKey.Stream(sensor: stream.sensor, session: number), floor: stream.floor.flatMap { UInt64($0) },
                stream.ranges)
        }
        events?.assumeIsolated { $0.learn(stream) }
    }

    private func heardOther(_ other: RoleStatus) {
        guard let shared else { return }
        if other.isGone {
            let hasEnded = other.state == .disconnected
            performGroup(shared.group.gone(other.id, birth: other.birth, hasEnded: hasEnded, now: .now))
        } else if other.sharesSensors == true {
            shared.group.met(other.id, birth: other.birth, models: other.models ?? [])
        }
    }

    // MARK: What is to be done

    func performGroup(_ actions: [AggregatorGroup.Action]) {
        guard let shared else { return }
        for action in actions {
            switch action {
            case .beat: sendBeats()
            case .receive(let buckets, let view): receive(buckets, view)
            case .finish(let view):
                shared.finishing = view
                finishHandover()
            case .begin(let buckets, let isTakeover): begin(buckets, isTakeover: isTakeover)
            case .agreed(let view): agreed(view)
            case .pause: membersChanged()
            case .left: shared.left?()
            }
        }
    }

    private func sendBeats() {
        guard let shared else { return }
        let (streams, missed) = shared.takeNotes()
        let told = shared.group.isShared ? streams : []
        var start = 0
        repeat {
            var beat = shared.group.nextBeat(.now)
            let some = told[start..<min(told.count, start + AggregatorBeat.maximumStreams)]
            if !some.isEmpty { beat.streams = some.map(withEvents) }
            if start == 0 {
                beat.missed = missed
                beat.load = shared.takeLoad(.now)
            }
            send(beat)
            start += AggregatorBeat.maximumStreams
        } while start < told.count
    }

    /// Has a frame computed again that lacks branches: whoever says what is computed knows who else can.
    func ask(_ key: FrameKey, missing: UInt64) {
        guard let shared, supervisor?.assumeIsolated({ $0.isLeading }) == false else {
            supervisor?.assumeIsolated { $0.ask(key, missing: missing) }
            return
        }
        var beat = shared.group.nextBeat(.now)
        beat.late = [.init(sensor: key.sensor, session: key.session, frame: key.frame, missing: missing)]
        send(beat)
    }

    private func withEvents(_ stream: AggregatorBeat.Stream) -> AggregatorBeat.Stream {
        events?.assumeIsolated { $0.described(stream) } ?? stream
    }

    private func send(_ beat: AggregatorBeat) {
        let topic = session.topics.group(session.status.id)
        beat.json.withUnsafeBytes { try? session.client.send($0, to: topic, qos: .atLeastOnce) }
    }

    private func receive(_ buckets: Set<Int>, _ view: AggregatorGroup.View) {
        guard let shared, let features else { return }
        shared.forgetAnsweredElsewhere()
        if view.members.count > 1 || shared.othersAnswer {
            // What came before is the others' business.
            shared.keep { shared.group.holds.contains($0) }
            if shared.group.holds.isEmpty { joiner.discardOpen() }
        } else {
            shared.keep { shared.group.owns($0) }
        }
        // Who is alone receives what goes to no bucket, and all buckets by one filter, until there are others.
        let isAlone = view.members.count == 1 && shared.received.isEmpty
        let missing = isAlone ? [] : buckets.subtracting(shared.received)
        shared.received.formUnion(missing)
        let filters = missing.map(session.topics.bucketFeatures)
        let options = MQTTSubscribeOptions(qos: session.qos, receivesRetained: false)
        guard !filters.isEmpty else { return performGroup(shared.group.prepared(view, now: .now)) }
        Task {
            do {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for filter in filters { group.addTask { try await features.add(filter, options: options) } }
                    try await group.waitForAll()
                }
            } catch {
                session.log.warning("not all features are received: \(error)")
            }
            performGroup(shared.group.prepared(view, now: .now))
        }
    }

    /// Says so when nothing is open any more of what is given away.
    func finishHandover() {
        guard let shared, let view = shared.finishing else { return }
        let given = shared.group.finishes
        guard !joiner.hasOpen(where: { given.contains(SensorBuckets.bucket(of: $0)) }) else { return }
        shared.finishing = nil
        tellAll(of: given)
        announcer?.assumeIsolated { $0.giveAway(given) }
        performGroup(shared.group.settled(view, now: .now))
    }

    /// Tells what was answered of sensors that others take over.
    private func tellAll(of buckets: Set<Int>) {
        guard let shared else { return }
        let streams =
            joiner.answered(where: { buckets.contains(SensorBuckets.bucket(of: $0)) }) + shared.bareStreams(buckets)
        for start in stride(from: 0, to: streams.count, by: AggregatorBeat.maximumStreams) {
            var beat = shared.group.nextBeat(.now)
            beat.streams = streams[start..<min(streams.count, start + AggregatorBeat.maximumStreams)].map(withEvents)
            send(beat)
        }
    }

    private func begin(_ buckets: Set<Int>, isTakeover: Bool) {
        guard let shared else { return }
        if isTakeover, shared.group.isShared || shared.othersAnswer {
            shared.tookOver(buckets, until: .now + session.deadline)
        }
        shared.othersAnswer = false
        let waiting = shared.take(buckets)
        for features in waiting {
            features.payload.withUnsafeBytes { received(features.topic, $0, isKept: true) }
        }
        shared.forgetAnsweredElsewhere()
        goOn()
    }

    private func agreed(_ view: AggregatorGroup.View) {
        guard let shared, let features else { return }
        let foreign = shared.received.subtracting(shared.group.holds)
        for bucket in foreign { features.remove(session.topics.bucketFeatures(bucket)) }
        shared.received.subtract(foreign)
        if view.members.count > 1, receivesAllBuckets {
            receivesAllBuckets = false
            features.remove(session.topics.allBucketFeatures)
        }
        membersChanged()
        let count = view.members.count > 1 ? shared.group.holds.count : nil
        guard count != session.status.buckets else { return }
        session.sendStatus { $0.buckets = count }
        let others = view.members.map(\.id).filter { $0 != session.status.id }
        session.log(
            count.map {
                "shares the sensors with \(others.joined(separator: ", ")): answers \($0) of \(SensorBuckets.count) buckets of them"
            } ?? "answers all sensors alone")
    }

    private func membersChanged() {
        guard let shared else { return }
        let members = shared.group.view.map { Set($0.members.map(\.id)) } ?? []
        supervisor?.assumeIsolated { $0.use(members: members) }
    }
}
