import Platform

/// Everything that a client is told before it connects. Only the address has no default.
public struct MQTTConfiguration: Sendable {
    /// A version of the protocol.
    public enum ProtocolVersion: Sendable, Hashable {
        /// MQTT 3.1.1 (OASIS, 2014).
        case v311
        /// MQTT 5.0 (OASIS, 2019).
        case v5
    }

    /// Files for TLS. Version 1.2 or later is forced.
    public struct TLS: Sendable, Hashable {
        /// The certificates that are trusted, PEM; the system's where nil.
        public var certificateAuthorityFile: String?
        /// The client's certificate, PEM, where the broker asks for one.
        public var certificateFile: String?
        /// The client's private key, PEM.
        public var keyFile: String?

        public init(certificateAuthorityFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
            self.certificateAuthorityFile = certificateAuthorityFile
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    /// What the broker publishes when this client is lost without a goodbye.
    public struct Will: Sendable {
        public var topic: String
        public var payload: [UInt8]
        public var qos: QoS
        public var retain: Bool
        /// How long the broker keeps it, seconds, with MQTT 5; nil for ever.
        public var expiry: UInt32?

        public init(
            topic: String, payload: [UInt8], qos: QoS = .atLeastOnce, retain: Bool = true, expiry: UInt32? = nil
        ) {
            self.topic = topic
            self.payload = payload
            self.qos = qos
            self.retain = retain
            self.expiry = expiry
        }
    }

    /// Where the broker listens, or the nodes of a cluster, of which one is taken by chance, and the next where it is gone.
    public private(set) var addresses: [MQTTAddress]
    /// The first of ``addresses``, by which the broker is known. Where it is set, there are no others.
    public var address: MQTTAddress {
        get { addresses[0] }
        set { addresses = [newValue] }
    }
    /// Whether the first of a cluster's nodes is tried first, and not one by chance: for what is to be found again.
    public var startsAtFirstNode = false
    /// The same, and starts at the first node.
    public var atFirstNode: MQTTConfiguration {
        var configuration = self
        configuration.startsAtFirstNode = true
        return configuration
    }
    /// Unique at the broker: a second client with the same identifier throws the first out. A random one where nil.
    public var clientID: String?
    /// MQTT 5 by default.
    public var protocolVersion = ProtocolVersion.v5
    /// Whether a broker that does not take MQTT 5 is asked once more, with 3.1.1.
    public var triesOlderVersion = true
    /// Whether ``MQTTClient/connect()`` waits for a broker that is not there yet, or whose name is not known yet, and returns when
    /// there is one. A broker that refuses, or does not speak MQTT, is not waited for.
    public var waitsForBroker = false
    public var user: String?
    public var password: String?
    /// Files for `mqtts://` addresses.
    public var tls = TLS()
    public var will: Will?
    /// Seconds between signs of life; at least 5, as libmosquitto demands.
    public var keepalive = 15
    /// How long the broker may take to answer a connection.
    public var connectTimeout = Duration.seconds(10)
    /// The first and the longest wait before a new connection; each wait is random between half of it and the whole.
    public var reconnectDelay: ClosedRange<Duration> = .milliseconds(100) ... .seconds(2)
    /// The most bytes of topics and payloads that wait to be written or acknowledged.
    public var maximumInFlightBytes = 64 << 20
    /// The longest packet that the broker may send, bytes. MQTT 5 only: on 3.1.1 only the broker's own limit guards.
    public var maximumPacketSize = 64 << 20
    /// QoS 1 and 2 messages that may be unacknowledged at once, in each direction.
    public var maximumInFlightMessages = 100
    /// How long ``MQTTClient/close()`` waits for what is still in flight.
    public var closeTimeout = Duration.seconds(2)

    public init(address: MQTTAddress) { addresses = [address] }

    /// - Parameter addresses: of a cluster's nodes, at least one, all with TLS or none: as ``MQTTAddress/list(_:)`` gives them.
    public init(addresses: [MQTTAddress]) {
        precondition(!addresses.isEmpty, "there is no address")
        self.addresses = addresses
    }
}
