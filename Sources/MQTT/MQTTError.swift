import CMosquitto
import Glibc
import Platform

/// What went wrong in the client: a kind to decide by, libmosquitto's or the broker's code, and one sentence for people.
public struct MQTTError: Error, Hashable, CustomStringConvertible {
    /// What kind of failure it is.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        let name: String
        /// The address, a topic, a file or an option cannot be used as it is.
        public static let invalidConfiguration = Self(name: "invalid configuration")
        /// No broker answers at the address.
        public static let unreachable = Self(name: "unreachable")
        /// The broker answered and said no: credentials, protocol version, client identifier.
        public static let refused = Self(name: "refused")
        /// The broker takes nobody in at the moment, or not so many: without its quorum a cluster does that.
        public static let unavailable = Self(name: "unavailable")
        /// The TLS handshake failed.
        public static let tls = Self(name: "TLS")
        /// The connection was there and is gone.
        public static let connectionLost = Self(name: "connection lost")
        /// There is no connection at the moment, and the message cannot wait for one.
        public static let notConnected = Self(name: "not connected")
        /// The bytes in flight are at their limit.
        public static let bufferFull = Self(name: "buffer full")
        /// The broker refused a subscription or a message.
        public static let notAuthorized = Self(name: "not authorized")
        /// A message is longer than the broker takes.
        public static let tooLarge = Self(name: "too large")
        /// The broker does not do what is asked of it: it said so, or it ends the connection whenever it is asked.
        public static let unsupported = Self(name: "unsupported")
        /// The client was closed.
        public static let closed = Self(name: "closed")
        /// Anything else that libmosquitto reports.
        public static let library = Self(name: "library")
        public var description: String { name }
    }

    public let code: Code
    /// libmosquitto's return code or the broker's reason code; 0 where neither applies.
    public let rawCode: Int32
    /// One sentence: what, where, what to do.
    public let description: String

    /// Whether trying again later can help without anybody changing anything.
    public var isRetriable: Bool {
        [.unreachable, .unavailable, .connectionLost, .notConnected, .bufferFull].contains(code)
    }

    init(_ code: Code, _ description: String, rawCode: Int32 = 0) {
        self.code = code
        self.rawCode = rawCode
        self.description = description
    }

    init(_ error: SystemError) { self.init(.library, error.description) }

    /// What the most usual lines of OpenSSL mean.
    private static func explanation(of line: String) -> String? {
        let meanings = [
            (
                "certificate verify failed",
                "its certificate is not trusted, or is another host's: name the file of the authority that signed it, "
                    + "and the host as the certificate does"
            ),
            ("wrong version number", "it does not speak TLS at this port"),
            ("unexpected eof", "it does not speak TLS at this port"),
            ("no certificate or crl found", "there is no certificate in the file of the authority"),
            ("certificate required", "it asks for a client certificate"),
            ("key values mismatch", "the client's certificate and its key do not belong together"),
        ]
        return meanings.first { line.contains($0.0) }?.1
    }

    /// The error of a libmosquitto call, or nil for success.
    ///
    /// - Parameter systemError: `errno` as it was right after the call.
    static func of(_ result: Int32, _ action: String, systemError: Int32 = errno, detail: String? = nil) -> MQTTError? {
        guard result != MOSQ_ERR_SUCCESS.int else { return nil }
        var reason =
            result == MOSQ_ERR_ERRNO.int
            ? String(cString: strerror(systemError)) : String(cString: mosquitto_strerror(result))
        while reason.hasSuffix(".") { reason.removeLast() }
        if result == MOSQ_ERR_EAI.int || result == MOSQ_ERR_LOOKUP.int { reason = "there is no such host" }
        if result == MOSQ_ERR_PROTOCOL.int { reason = "it does not speak MQTT at this port" }
        // What libmosquitto says where it does not know why, either.
        if result == MOSQ_ERR_UNKNOWN.int || result == MOSQ_ERR_CONN_LOST.int
            || result == MOSQ_ERR_ERRNO.int && systemError == 0
        {
            reason = "the other end closed it"
        }
        if let detail { reason = explanation(of: detail) ?? "\(reason) (\(detail))" }
        let code: Code =
            switch result {
            case MOSQ_ERR_NO_CONN.int: .notConnected
            case MOSQ_ERR_CONN_LOST.int, MOSQ_ERR_KEEPALIVE.int: .connectionLost
            case MOSQ_ERR_TLS.int, MOSQ_ERR_TLS_HANDSHAKE.int: .tls
            case MOSQ_ERR_ERRNO.int, MOSQ_ERR_EAI.int, MOSQ_ERR_LOOKUP.int: .unreachable
            case MOSQ_ERR_CONN_REFUSED.int, MOSQ_ERR_AUTH.int: .refused
            case MOSQ_ERR_OVERSIZE_PACKET.int, MOSQ_ERR_PAYLOAD_SIZE.int: .tooLarge
            case MOSQ_ERR_INVAL.int, MOSQ_ERR_MALFORMED_UTF8.int: .invalidConfiguration
            default: .library
            }
        return MQTTError(code, "\(action): \(reason)", rawCode: result)
    }
}

extension mosq_err_t {
    var int: Int32 { Int32(rawValue) }
}
