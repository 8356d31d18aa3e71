/// What a trial saw: figures, each beside what is promised.
public struct TrialResult: Sendable, Hashable, Encodable {
    /// One number.
    public struct Figure: Sendable, Hashable, Encodable {
        /// Stable, with the unit at its end.
        public var name: String
        public var value: Double
        /// What is promised; nil for what is only told.
        public var atMost: Double?
        public var atLeast: Double?

        public var isKept: Bool { value <= atMost ?? .infinity && value >= atLeast ?? -.infinity && !value.isNaN }

        enum CodingKeys: String, CodingKey {
            case name, value
            case atMost = "at_most"
            case atLeast = "at_least"
        }
    }

    public var trial: Trial
    public var seconds: Double
    public var figures: [Figure] = []

    public var isKept: Bool { figures.allSatisfy(\.isKept) }

    /// The value of a figure.
    public subscript(name: String) -> Double? { figures.first { $0.name == name }?.value }

    /// The same, or what stands for one that is not there.
    subscript(name: String, default value: Double) -> Double { self[name] ?? value }

    mutating func add(_ name: String, _ value: Double, atMost: Double? = nil, atLeast: Double? = nil) {
        figures.append(Figure(name: name, value: value, atMost: atMost, atLeast: atLeast))
    }
}

/// A fault that a pipeline is put through.
public enum Trial: String, Sendable, Hashable, Codable, CaseIterable {
    case kill
    case killAlone = "kill-alone"
    case pause
    case replica
    case unequal
    case throttled
    case many
    case pipelines
    case broker
    case aggregator
    case aggregators
    case frozen
    case restarts
    case disk
    case theft
    case pictures
    case repeats
    case overload
    case hostile
    case models
    case stream
    case cluster

    /// What is done.
    public var fault: String {
        switch self {
        case .kill: "a worker killed with kill -9, a spare present"
        case .killAlone: "a worker killed with kill -9, no spare"
        case .pause: "a worker paused for 10 s, then continued, a spare present"
        case .replica: "a replica added to the slowest branch, and another removed with SIGTERM"
        case .unequal: "two devices share a branch, one four times slower"
        case .throttled: "two devices share a branch, one has a tenth of a processor"
        case .many: "60 and 200 workers join, get another model, and half of them leave"
        case .pipelines: "100 pipelines on one broker"
        case .broker: "the broker killed with kill -9 and restarted after 5 s, nothing persisted, QoS 1"
        case .aggregator: "the aggregator killed with kill -9 and started again after 2 s, QoS 1"
        case .aggregators: "of three aggregators one killed with kill -9, one stopped for 4 s, one ended, QoS 1"
        case .frozen: "the broker stopped for 8 s, as a machine that hangs, QoS 1"
        case .restarts: "the broker killed with kill -9 six times, QoS 0"
        case .disk: "a model pushed while a worker's disk is full"
        case .theft: "a stranger joins the shared subscriptions of all branches"
        case .pictures: "pictures of 24 million pixels from a stranger, three and then ten a second"
        case .repeats: "every message duplicated, 10 % reordered"
        case .overload: "5 times as many frames as can be computed, policy latest"
        case .hostile: "100,000 hostile messages beside valid ones"
        case .models: "the model pushed five times under load"
        case .stream: "200 frames a second for long"
        case .cluster: "two of three RabbitMQ nodes killed with kill -9 and brought back, one after the other, QoS 1"
        }
    }

    /// Seconds that its stream lasts in full.
    public var fullLength: Double {
        switch self {
        case .kill, .killAlone: 10
        case .pause: 20
        case .replica: 20
        case .unequal: 40
        case .throttled: 20
        case .many: 40
        case .pipelines: 20
        case .broker: 20
        case .aggregator: 12
        case .aggregators: 40
        case .frozen: 20
        case .restarts: 18
        case .disk: 20
        case .theft: 10
        case .pictures: 20
        case .repeats: 10
        case .overload: 60
        case .hostile: 120
        case .models: 30
        case .stream, .cluster: 3600
        }
    }
}
