import FoundationEssentials
import Platform

/// A device as Home Assistant learns of it: the retained JSON on `homeassistant/device/ID/config`.
///
/// After "MQTT discovery", device discovery payload, in Home Assistant's documentation of its MQTT integration (2025.10 and later
/// take `default_entity_id`). Without identifiers, `origin`, and for each component `platform` and `unique_id`, the whole document
/// is dropped there.
public struct DiscoveryDocument: Sendable, Hashable, Encodable {
    /// What people see as one device.
    public struct Device: Sendable, Hashable, Encodable {
        public var identifiers: [String]
        public var name: String
        public var manufacturer = "lcp"
        public var model: String
        public var softwareVersion: String?
        /// The identifier of the device through which it is reached.
        public var via: String?

        enum CodingKeys: String, CodingKey {
            case identifiers, name, manufacturer, model
            case softwareVersion = "sw_version"
            case via = "via_device"
        }
    }

    /// Who publishes the document.
    public struct Origin: Sendable, Hashable, Encodable {
        public var name = "lcp"
        public var softwareVersion: String

        enum CodingKeys: String, CodingKey {
            case name
            case softwareVersion = "sw_version"
        }
    }

    /// A topic that says whether what is shown is true now.
    public struct Availability: Sendable, Hashable, Encodable {
        public var topic: String
        public var template: String

        enum CodingKeys: String, CodingKey {
            case topic
            case template = "value_template"
        }
    }

    /// One thing that is shown of a device.
    public struct Component: Sendable, Hashable, Encodable {
        public var platform: String
        public var name: String
        public var uniqueID: String
        /// What its name in automations is made of: `sensor.kitchen_door_label`.
        public var defaultEntityID: String
        public var stateTopic: String?
        public var valueTemplate: String?
        public var attributesTopic: String?
        public var deviceClass: String?
        public var options: [String]?
        public var unit: String?
        public var stateClass: String?
        public var category: String?
        public var digits: Int?
        public var imageTopic: String?
        public var contentType: String?
        /// Its own, in place of the document's; empty for always.
        public var availability: [Availability]?

        enum CodingKeys: String, CodingKey {
            case platform, name, options, availability
            case uniqueID = "unique_id"
            case defaultEntityID = "default_entity_id"
            case stateTopic = "state_topic"
            case valueTemplate = "value_template"
            case attributesTopic = "json_attributes_topic"
            case deviceClass = "device_class"
            case unit = "unit_of_measurement"
            case stateClass = "state_class"
            case category = "entity_category"
            case digits = "suggested_display_precision"
            case imageTopic = "image_topic"
            case contentType = "content_type"
        }
    }

    public var device: Device
    public var origin: Origin
    public var components: [String: Component]
    public var availability: [Availability]
    public var availabilityMode = "all"
    /// Where the document is published; not a part of it.
    package var id: String

    enum CodingKeys: String, CodingKey {
        case device, origin, components, availability
        case availabilityMode = "availability_mode"
    }

    /// Where Home Assistant says `online` when it has started.
    public static let statusTopic = "homeassistant/status"
    /// All documents, of whoever.
    package static let allTopics = "homeassistant/device/+/config"

    /// Where a document of an identifier is published.
    package static func topic(_ id: String) -> String { "homeassistant/device/\(id)/config" }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }

    /// A name as a part of an identifier: letters, digits, `_` and `-`; what had others ends in a part of its digest, so that two
    /// names never are the same.
    package static func slug(_ name: String) -> String {
        let plain = name.utf8.map { byte in
            let isAllowed =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            return isAllowed ? byte : UInt8(ascii: "_")
        }
        let text = String(decoding: plain, as: UTF8.self)
        return text == name ? text : "\(text)_\(SHA256.hex(Array(name.utf8)).prefix(8))"
    }
}
