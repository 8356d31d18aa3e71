/// How often a message arrives.
public enum QoS: Int32, Sendable, Hashable, CaseIterable {
    /// At most once: sent and forgotten.
    case atMostOnce = 0
    /// At least once: acknowledged, perhaps twice.
    case atLeastOnce = 1
    /// Exactly once, in four steps.
    case exactlyOnce = 2
}

/// A message as it came from the broker.
public struct MQTTMessage: Sendable {
    public let topic: String
    public let payload: [UInt8]
    public let qos: QoS
    /// Whether the broker kept this message from before the subscription.
    public let retained: Bool
    /// The MQTT 5 properties, or nil where there are none.
    public let properties: MQTTProperties?
    /// When this program read it from the socket.
    public let received: ContinuousClock.Instant

    public init(
        topic: String, payload: [UInt8], qos: QoS = .atMostOnce, retained: Bool = false,
        properties: MQTTProperties? = nil,
        received: ContinuousClock.Instant = .now
    ) {
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retained = retained
        self.properties = properties
        self.received = received
    }
}

/// A message while its handler is called: the payload lies where libmosquitto has it, and is gone when the handler returns.
public struct MQTTMessageView {
    public let topic: String
    public let payload: UnsafeRawBufferPointer
    public let qos: QoS
    /// Whether the broker kept this message from before the subscription.
    public let retained: Bool
    /// The MQTT 5 properties, or nil where there are none.
    public let properties: MQTTProperties?
    /// When this program read it from the socket.
    public let received: ContinuousClock.Instant

    /// The message with a payload of its own, to be kept.
    public var message: MQTTMessage {
        MQTTMessage(
            topic: topic, payload: Array(payload), qos: qos, retained: retained, properties: properties,
            received: received)
    }
}

/// The MQTT 5 properties of a published message (MQTT 5.0, section 3.3.2.3). They are lost on 3.1.1.
public struct MQTTProperties: Sendable, Hashable {
    /// A MIME type.
    public var contentType: String?
    /// Where an answer is expected.
    public var responseTopic: String?
    public var correlationData: [UInt8]?
    /// Seconds after which the broker drops the message.
    public var messageExpiry: UInt32?
    /// Names and values in their order; names may repeat. At most ``maximumUserProperties`` are read.
    public var userProperties: [UserProperty] = []

    /// The most user properties that are read of one message; the rest is left out.
    public static let maximumUserProperties = 64

    /// A user property.
    public struct UserProperty: Sendable, Hashable {
        public var name: String
        public var value: String

        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    public init() {}

    /// Whether nothing is set.
    public var isEmpty: Bool { self == Self() }
}

/// The life of a connection, as ``MQTTClient/connectionStates`` reports it.
public enum MQTTConnectionState: Sendable, Hashable {
    case connecting
    /// The broker acknowledged the connection.
    case connected
    /// The connection is gone or could not be made; another try follows after the delay.
    case waiting(MQTTError, retry: Duration)
    /// No further try will be made. The error is nil after a close that was asked for.
    case closed(MQTTError?)
}
