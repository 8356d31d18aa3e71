import Foundation

/// The rules by which Home Assistant takes a device's document, after its published documentation ("MQTT", device discovery
/// payload; sensor.mqtt, binary_sensor.mqtt, image.mqtt): what breaks one of them is dropped there.
struct DiscoverySchema {
    private(set) var violations: [String] = []

    private static let root: Set = [
        "device", "origin", "components", "availability", "availability_mode", "availability_topic",
        "availability_template", "payload_available", "payload_not_available", "state_topic", "command_topic", "qos",
        "encoding",
    ]
    private static let device: Set = [
        "identifiers", "connections", "configuration_url", "hw_version", "manufacturer", "model", "model_id", "name",
        "serial_number", "suggested_area", "sw_version", "via_device",
    ]
    private static let common: Set = [
        "platform", "unique_id", "name", "default_entity_id", "entity_category", "icon", "json_attributes_topic",
        "json_attributes_template", "availability", "availability_mode", "qos", "encoding", "enabled_by_default",
        "device_class",
    ]
    private static let platforms: [String: Set<String>] = [
        "sensor": [
            "state_topic", "value_template", "state_class", "unit_of_measurement", "options", "expire_after",
            "force_update", "suggested_display_precision",
        ],
        "binary_sensor": [
            "state_topic", "value_template", "payload_on", "payload_off", "off_delay", "expire_after", "force_update",
        ],
        "image": ["image_topic", "content_type", "image_encoding", "url_topic", "url_template"],
    ]
    private static let sensorClasses: [String: Set<String>] = [
        "enum": [], "duration": ["d", "h", "min", "s", "ms", "µs"], "timestamp": [],
    ]

    init(topic: String, _ json: Data) {
        let levels = topic.split(separator: "/", omittingEmptySubsequences: false)
        check(
            levels.count == 4 && levels[0] == "homeassistant" && levels[1] == "device" && levels[3] == "config"
                && levels[2].utf8.allSatisfy { isWord($0) || $0 == 0x2D } && !levels[2].isEmpty,
            "the topic \(topic)")
        guard let document = try? JSONSerialization.jsonObject(with: json) as? [String: Any] else {
            violations.append("no JSON object")
            return
        }
        checkKeys(document, Self.root, "the document")
        let device = document["device"] as? [String: Any] ?? [:]
        checkKeys(device, Self.device, "device")
        check((device["identifiers"] as? [String])?.isEmpty == false, "device.identifiers")
        let origin = document["origin"] as? [String: Any] ?? [:]
        checkKeys(origin, ["name", "sw_version", "support_url"], "origin")
        check(origin["name"] is String, "origin.name")
        checkAvailability(document["availability"], "the document")
        guard let components = document["components"] as? [String: [String: Any]], !components.isEmpty else {
            violations.append("no components")
            return
        }
        var identifiers: Set<String> = []
        for (name, component) in components {
            check(component, name)
            if let id = component["unique_id"] as? String { check(identifiers.insert(id).inserted, "\(id) twice") }
        }
    }

    private mutating func check(_ component: [String: Any], _ name: String) {
        guard let platform = component["platform"] as? String, let keys = Self.platforms[platform] else {
            return violations.append("\(name) has no platform")
        }
        checkKeys(component, Self.common.union(keys), name)
        check((component["unique_id"] as? String)?.isEmpty == false, "\(name).unique_id")
        if let id = component["default_entity_id"] as? String {
            let parts = id.split(separator: ".", omittingEmptySubsequences: false)
            check(parts.count == 2 && parts[0] == platform && parts[1].utf8.allSatisfy(isWord), "\(name): \(id)")
        }
        if let category = component["entity_category"] as? String {
            check(category == "diagnostic", "\(name): category")
        }
        checkAvailability(component["availability"], name)
        switch platform {
        case "image":
            check((component["image_topic"] == nil) != (component["url_topic"] == nil), "\(name): one topic")
            check((component["content_type"] as? String)?.hasPrefix("image/") != false, "\(name): content type")
        case "sensor":
            check(component["state_topic"] is String, "\(name).state_topic")
            checkSensor(component, name)
        default: check(component["state_topic"] is String, "\(name).state_topic")
        }
    }

    private mutating func checkSensor(_ component: [String: Any], _ name: String) {
        let (kind, unit) = (component["device_class"] as? String, component["unit_of_measurement"] as? String)
        if let kind {
            guard let units = Self.sensorClasses[kind] else { return violations.append("\(name): the class \(kind)") }
            check(unit.map(units.contains) ?? units.isEmpty, "\(name): the unit \(unit ?? "") of \(kind)")
        }
        if let options = component["options"] as? [String] {
            check(!options.isEmpty && kind == "enum", "\(name): options without enum")
            check(options.allSatisfy { !$0.isEmpty && $0.unicodeScalars.count <= 255 }, "\(name): an option's length")
        }
        if kind == "enum" { check(component["state_class"] == nil && unit == nil, "\(name): an enum has no number") }
        if let state = component["state_class"] as? String {
            check(["measurement", "total", "total_increasing"].contains(state), "\(name): \(state)")
        }
    }

    private mutating func checkAvailability(_ value: Any?, _ place: String) {
        guard let value else { return }
        guard let list = value as? [[String: Any]] else { return violations.append("\(place): availability") }
        for item in list {
            checkKeys(item, ["topic", "payload_available", "payload_not_available", "value_template"], place)
            check(item["topic"] is String, "\(place): an availability has no topic")
        }
    }

    /// Nothing unknown, and nothing that is null.
    private mutating func checkKeys(_ object: [String: Any], _ known: Set<String>, _ place: String) {
        for (key, value) in object {
            check(known.contains(key), "\(place) has the unknown key \(key)")
            check(!(value is NSNull), "\(place).\(key) is null")
        }
    }

    private mutating func check(_ holds: Bool, _ sentence: String) { if !holds { violations.append(sentence) } }
}

/// A letter, a digit or `_`.
private func isWord(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
}
