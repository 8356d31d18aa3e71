import LCPWire
import MQTT
import Platform

/// Says when what a sensor shows has changed, by the rules of the sensors, and has a picture of that taken.
///
/// It lives on the client's event loop, as the aggregator does that it belongs to.
actor EventPublisher {
    private nonisolated let session: RoleSession
    nonisolated var unownedExecutor: UnownedSerialExecutor { session.client.eventLoop.asUnownedSerialExecutor() }

    private let rules: EventRules
    private let takesSnapshots: Bool
    private var states: MQTTSubscription?
    private var isRestored = false
    private var sensors: [String: LabelMachine] = [:]
    /// What the broker had kept when this began.
    private var kept: [String: String] = [:]
    /// What others have seen who answer a sensor.
    private var elsewhere: [String: AggregatorBeat.Stream] = [:]

    /// The most sensors that are watched: endless strange names do not fill a broker's memory.
    static let maximumSensors = 1024
    private var drops = Drops()
    /// Frames of sensors that had no room.
    var dropped: [String: UInt64] { drops.counts }

    init(_ session: RoleSession, _ rules: EventRules, takesSnapshots: Bool) {
        (self.session, self.rules, self.takesSnapshots) = (session, rules, takesSnapshots)
    }

    /// Learns what held before: an aggregator that starts anew says nothing of a label that is the same. A state that somebody takes
    /// away later is forgotten.
    func restore() async throws {
        states = try await session.client.subscribe(to: session.topics.states, options: .init(qos: .atLeastOnce)) {
            [weak self] message in
            guard message.retained || message.payload.isEmpty, message.payload.count <= 65_536 else { return }
            let (sensor, label) = (Topics.sensor(of: message.topic), String(decoding: message.payload, as: UTF8.self))
            self?.assumeIsolated { $0.heard(label, sensor) }
        }
        // What the broker has kept comes before its answer to this.
        try await session.publishStatus { _ in }
        isRestored = true
    }

    private func heard(_ label: String, _ sensor: String) {
        if label.isEmpty {
            kept[sensor] = nil
            sensors[sensor] = nil
            elsewhere[sensor] = nil
        } else if !isRestored, kept.count < Self.maximumSensors {
            kept[sensor] = label
        }
    }

    /// A frame was answered.
    ///
    /// - Parameters:
    ///   - best: the most probable class and its probability.
    ///   - time: now, nanoseconds since 1970 UTC.
    /// - Returns: whether it is the first one of a sensor that has a rule.
    func answered(
        _ sensor: String, frame: UInt64, best: (class: Int, confidence: Float), model: JoinedModel, time: Int64
    ) -> Bool {
        var isNew = false
        if sensors[sensor] == nil {
            guard let rule = rules.rule(sensor) else { return false }
            guard sensors.count < Self.maximumSensors else {
                if let line = drops.add(
                    "events_full", "\(Self.maximumSensors) sensors have events already, so \(sensor.printable) has none"
                ) {
                    session.log.warning(line)
                }
                return false
            }
            sensors[sensor] = machine(sensor, rule)
            isNew = true
        }
        let label = Self.name(best.class, model.labels)
        guard let change = sensors[sensor]?.saw(label, confidence: best.confidence, time: time) else { return isNew }
        let event = LabelEvent(
            sensor: sensor, label: change.held.name, class: change.held == .none ? nil : best.class,
            confidence: Double(best.confidence), since: change.since, time: time, before: change.before?.name,
            frame: frame, model: model.name)
        send(event.json, to: session.topics.event(sensor))
        sendState(sensor, change.held)
        if takesSnapshots { send(SnapshotRequest(frame: frame).json, to: session.topics.snapshotRequest(sensor)) }
        return isNew
    }

    /// What an aggregator that answers a sensor has seen of it; it goes on from there if it takes it over.
    func learn(_ stream: AggregatorBeat.Stream) {
        guard stream.held != nil || stream.seen != nil,
            sensors[stream.sensor] != nil || elsewhere[stream.sensor] != nil
                || sensors.count + elsewhere.count < Self.maximumSensors
        else { return }
        sensors[stream.sensor] = nil
        elsewhere[stream.sensor] = stream
    }

    /// The same with what this one has seen.
    func described(_ stream: AggregatorBeat.Stream) -> AggregatorBeat.Stream {
        guard let machine = sensors[stream.sensor] else { return stream }
        var stream = stream
        stream.held = machine.held?.name
        stream.seen = machine.latest.map {
            switch $0.held {
            case .label(let name): .init(label: name, time: $0.time)
            case .none: .init(label: nil, time: $0.time)
            }
        }
        return stream
    }

    private func machine(_ sensor: String, _ rule: EventRule) -> LabelMachine {
        let kept = kept.removeValue(forKey: sensor)
        guard let seen = elsewhere.removeValue(forKey: sensor) else {
            return LabelMachine(rule, held: kept.map(LabelMachine.Held.init))
        }
        return LabelMachine(
            rule, held: (seen.held ?? kept).map(LabelMachine.Held.init),
            latest: (seen.seen ?? []).map { .init(held: $0.label.map { .label($0) } ?? .none, time: $0.time) })
    }

    /// A label that can be kept: an empty message would take it away.
    static func name(_ index: Int, _ labels: [String]) -> String {
        labels[index].isEmpty ? "class \(index)" : labels[index]
    }

    /// A restarted broker has forgotten what it kept.
    func reconnected() {
        for (sensor, machine) in sensors {
            if let held = machine.held { sendState(sensor, held) }
        }
    }

    private func sendState(_ sensor: String, _ held: LabelMachine.Held) {
        send(Array(held.name.utf8), to: session.topics.state(sensor), isKept: true)
    }

    private func send(_ payload: [UInt8], to topic: String, isKept: Bool = false) {
        payload.withUnsafeBytes {
            try? session.client.send($0, to: topic, qos: .atLeastOnce, retain: isKept)
        }
    }
}

extension LabelMachine.Held {
    /// As it is written on `…/state/SENSOR`. A label with the name of none counts as none.
    fileprivate init(_ name: String) { self = name == LabelEvent.none ? .none : .label(name) }

    fileprivate var name: String {
        switch self {
        case .label(let label): label
        case .none: LabelEvent.none
        }
    }
}
