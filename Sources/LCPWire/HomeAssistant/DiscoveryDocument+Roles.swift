/// What Home Assistant is shown of a pipeline.
extension DiscoveryDocument {
    /// Options of a label that take more bytes are left out: brokers limit packets, and nobody chooses from so many.
    static let maximumOptionBytes = 32 << 10
    /// A state of Home Assistant has so many characters at most.
    static let maximumStateLength = 255

    /// The identifier of a device of a pipeline. There is no number of a process in it.
    package static func id(_ topics: Topics, _ role: Role, _ name: String) -> String {
        topics.root.split(separator: "/").map { slug(String($0)) + "_" }.joined() + "\(role.rawValue)_\(slug(name))"
    }

    /// A sensor: its label, how sure that is, and a picture.
    ///
    /// - Parameters:
    ///   - labels: all that the model tells apart.
    ///   - isBare: whether it publishes bare pictures, and has no status of its own.
    package init(
        sensor: String, isBare: Bool, labels: [String], aggregator: String, _ topics: Topics, version: String
    ) {
        self.init(topics, .sensor, sensor, kind: "camera", version: version)
        device.via = Self.id(topics, .aggregator, aggregator)
        // What an answer says is true as long as somebody answers.
        availability.append(Self.present(topics, .aggregator, aggregator))
        if isBare { availability.removeFirst() }
        let options = Self.options(labels)
        add("label", "sensor", "Label") {
            $0.stateTopic = topics.state(sensor)
            $0.valueTemplate = "{{ value[:\(Self.maximumStateLength)] }}"
            $0.attributesTopic = topics.event(sensor)
            if let options { ($0.deviceClass, $0.options) = ("enum", options) }
        }
        add("confidence", "sensor", "Confidence") {
            $0.stateTopic = topics.event(sensor)
            $0.valueTemplate = "{{ (value_json.confidence * 100) | round(1) }}"
            ($0.unit, $0.stateClass, $0.digits) = ("%", "measurement", 0)
        }
        add("snapshot", "image", "Snapshot") {
            ($0.imageTopic, $0.contentType) = (topics.snapshot(sensor), "image/jpeg")
        }
        if !isBare { addDrops(topics, .sensor, sensor) }
    }

    /// A worker: whether it is there, how long it computes, and what it dropped.
    package init(worker: String, aggregator: String, _ topics: Topics, version: String) {
        self.init(topics, .worker, worker, kind: "worker", version: version)
        device.via = Self.id(topics, .aggregator, aggregator)
        addConnectivity(topics, .worker, worker)
        addTime("compute", "Compute time", "compute_p50_ms", topics.statistics(.worker, worker))
        addDrops(topics, .worker, worker)
    }

    /// An aggregator: whether it is there, the frames' latency, and what it dropped.
    package init(aggregator: String, _ topics: Topics, version: String) {
        self.init(topics, .aggregator, aggregator, kind: "aggregator", version: version)
        addConnectivity(topics, .aggregator, aggregator)
        addTime("latency", "Latency", "latency_p50_ms", topics.statistics(.aggregator, aggregator))
        add("incomplete", "sensor", "Incomplete answers") {
            $0.stateTopic = topics.statistics(.aggregator, aggregator)
            $0.valueTemplate = "{{ value_json.incomplete | default(0) }}"
            ($0.stateClass, $0.category) = ("total_increasing", "diagnostic")
        }
        addDrops(topics, .aggregator, aggregator)
    }

    private init(_ topics: Topics, _ role: Role, _ name: String, kind: String, version: String) {
        let id = Self.id(topics, role, name)
        let pipeline = topics.root.split(separator: "/").last ?? ""
        // A worker and an aggregator of one machine may have one name.
        let words = role == .sensor ? "\(pipeline) \(name)" : "\(pipeline) \(role.rawValue) \(name)"
        device = Device(identifiers: [id], name: words, model: kind, softwareVersion: version)
        origin = Origin(softwareVersion: version)
        components = [:]
        availability = [Self.present(topics, role, name)]
        self.id = id
    }

    private static func present(_ topics: Topics, _ role: Role, _ name: String) -> Availability {
        Availability(
            topic: topics.status(role, name),
            template: "{{ 'online' if value_json.state in ['ready', 'init'] else 'offline' }}")
    }

    private mutating func add(_ key: String, _ platform: String, _ name: String, _ fill: (inout Component) -> Void) {
        let words = device.name.split(separator: " ").map { Self.slug(String($0)).lowercased() }
        let entity = String(words.joined(separator: "_").map { $0 == "-" ? "_" : $0 })
        var component = Component(
            platform: platform, name: name, uniqueID: "\(id)_\(key)", defaultEntityID: "\(platform).\(entity)_\(key)")
        fill(&component)
        components[key] = component
    }

    /// It is shown also where the device is gone: that is what it says.
    private mutating func addConnectivity(_ topics: Topics, _ role: Role, _ name: String) {
        add("connection", "binary_sensor", "Connection") {
            $0.stateTopic = topics.status(role, name)
            $0.valueTemplate = "{{ 'ON' if value_json.state in ['ready', 'init'] else 'OFF' }}"
            ($0.deviceClass, $0.category) = ("connectivity", "diagnostic")
            $0.availability = []
        }
    }

    private mutating func addDrops(_ topics: Topics, _ role: Role, _ name: String) {
        add("dropped", "sensor", "Dropped") {
            $0.stateTopic = topics.statistics(role, name)
            $0.valueTemplate = "{{ (value_json.dropped | default({}, true)).values() | sum }}"
            ($0.stateClass, $0.category) = ("total_increasing", "diagnostic")
        }
    }

    private mutating func addTime(_ key: String, _ name: String, _ field: String, _ topic: String) {
        add(key, "sensor", name) {
            $0.stateTopic = topic
            $0.valueTemplate = "{{ value_json.\(field) | default(none) }}"
            ($0.deviceClass, $0.unit, $0.stateClass) = ("duration", "ms", "measurement")
            ($0.category, $0.digits) = ("diagnostic", 1)
        }
    }

    /// The states that a label can have; nil where they are too many to be listed.
    private static func options(_ labels: [String]) -> [String]? {
        var seen: Set<String> = []
        let options = (labels.enumerated().map { $1.isEmpty ? "class \($0)" : $1 } + [LabelEvent.none]).map {
            String($0.unicodeScalars.prefix(maximumStateLength))
        }
        .filter { seen.insert($0).inserted }
        return options.reduce(0) { $0 + $1.utf8.count + 4 } <= maximumOptionBytes ? options : nil
    }
}

extension String {
    fileprivate init(_ scalars: Substring.UnicodeScalarView) {
        var view = UnicodeScalarView()
        view.append(contentsOf: scalars)
        self.init(view)
    }
}
