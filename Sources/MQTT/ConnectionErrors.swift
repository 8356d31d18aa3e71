import CMosquitto
import Glibc

/// What people are told when a connection fails: the sentences, made of the configuration and of the broker's codes.
struct ConnectionErrors {
    private let configuration: MQTTConfiguration
    private let clientID: String
    private let nodes: ClusterNodes

    init(_ configuration: MQTTConfiguration, clientID: String, nodes: ClusterNodes? = nil) {
        self.configuration = configuration
        self.clientID = clientID
        self.nodes = nodes ?? ClusterNodes(configuration.addresses, first: 0)
    }

    private var address: MQTTAddress { nodes.current }

    /// Every node of the cluster was tried, and the last one failed.
    func ofAll(_ last: MQTTError) -> MQTTError {
        guard nodes.count > 1 else { return last }
        return MQTTError(
            last.code, "none of the cluster's \(nodes.count) nodes can be used, the last because \(last.description)",
            rawCode: last.rawCode)
    }

    var unanswered: MQTTError {
        MQTTError(
            .unreachable, "\(address) did not answer in \(configuration.connectTimeout): is it an MQTT broker?")
    }

    var closed: MQTTError { MQTTError(.closed, "the connection to \(address) is closed") }

    var notConnected: MQTTError { MQTTError(.notConnected, "there is no connection to \(address) at the moment") }

    var bufferFull: MQTTError {
        MQTTError(
            .bufferFull,
            "\(address) takes messages more slowly than they come: \(configuration.maximumInFlightBytes) bytes wait")
    }

    /// Of a message at QoS 0 that was not written yet.
    var messageLost: MQTTError { MQTTError(.connectionLost, "the connection to \(address) went away first") }

    /// A message is longer than the broker said that it takes.
    func tooLarge(_ topic: String, bytes: Int, limit: Int) -> MQTTError {
        MQTTError(
            .tooLarge,
            "\(address) takes packets of at most \(limit) bytes, and the message on \(topic) has \(bytes): raise the broker's "
                + "limit (max_packet_size in mosquitto.conf)")
    }

    /// The broker ended the connection again and again for a message that was not longer than this one.
    func tooLarge(_ topic: String, bytes: Int, refused: Int) -> MQTTError {
        MQTTError(
            .tooLarge,
            "\(address) ends the connection for packets of \(refused) bytes, and the message on \(topic) has \(bytes): raise the "
                + "broker's limit (max_packet_size in mosquitto.conf)")
    }

    /// The broker said that it keeps nothing.
    func notRetained(_ topic: String) -> MQTTError {
        MQTTError(
            .unsupported,
            "\(address) keeps no messages, and the one on \(topic) is to be kept: put `retain_available true` into mosquitto.conf"
        )
    }

    /// The connection was lost whenever the broker was asked for something.
    func lostWheneverAsked(_ what: String, _ times: Int) -> MQTTError {
        MQTTError(
            .unsupported,
            "\(address) ended the connection \(times) times when it was asked to \(what): it may not support that, or limit "
                + "packets to fewer bytes; its log tells")
    }

    /// The broker's CONNACK said no.
    func refused(_ code: Int32, isV5: Bool) -> MQTTError {
        let text = String(cString: isV5 ? mosquitto_reason_string(code) : mosquitto_connack_string(code))
        let credentials: Set<Int32> = isV5 ? [0x86, 0x87] : [4, 5]
        var advice = ""
        if credentials.contains(code) {
            advice =
                configuration.user.map { ": check the user \($0.debugDescription) and its password" }
                ?? ": it asks for a user and a password"
        } else if isV5 ? code == 0x84 : code == 1 {
            advice = ": it does not speak \(isV5 ? "MQTT 5; try 3.1.1" : "MQTT 3.1.1; try 5")"
        } else if isV5, code == 0x9A {
            advice = ": it keeps no messages, and the last will is one; put `retain_available true` into mosquitto.conf"
        }
        var reason = text
        while reason.hasSuffix(".") { reason.removeLast() }
        let isPassing = isV5 ? [0x88, 0x89, 0x97, 0x9F].contains(code) : code == 3
        return MQTTError(
            isPassing ? .unavailable : .refused, "\(address) refused the connection (\(reason.lowercased()))\(advice)",
            rawCode: code)
    }

    /// The broker sent DISCONNECT.
    func ended(_ code: Int32) -> MQTTError {
        let text =
            code == Int32(MQTT_RC_SESSION_TAKEN_OVER.rawValue)
            ? "another client with the identifier \(clientID.debugDescription) connected: each needs its own, and where the broker takes the user for it (use_username_as_clientid) a user of its own"
            : String(cString: mosquitto_reason_string(code))
        return MQTTError(.connectionLost, "\(address) ended the connection: \(text)", rawCode: code)
    }

    /// The connection was ended before CONNACK came.
    func endedBeforeAnswer(_ result: Int32) -> MQTTError {
        if address.isTLS { return certificateRefused(result) }
        return MQTTError(
            .unreachable,
            "\(address) ended the connection before it answered: is it a broker's port, and without TLS?"
                + (configuration.will?.retain == true ? " Does it keep messages (retain_available true)?" : ""),
            rawCode: result)
    }

    /// With TLS 1.3 the broker looks at the client's certificate when the client takes the connection for made.
    private func certificateRefused(_ result: Int32) -> MQTTError {
        let reason =
            configuration.tls.certificateFile == nil
            ? "it asks for a client certificate (--cert and --key), or does not speak MQTT"
            : "it does not take the client certificate (revoked, expired, or of another authority), or does not speak MQTT"
        return MQTTError(
            .unreachable, "\(address) ended the connection before it answered: \(reason); its log tells",
            rawCode: result)
    }

    /// A connection could not be made.
    func cannotConnect(_ result: Int32, systemError: Int32, detail: String?) -> MQTTError? {
        let error = MQTTError.of(result, "cannot connect to \(address)", systemError: systemError, detail: detail)
        guard let error, let advice = address.advice(result, systemError) else { return error }
        return MQTTError(error.code, "\(error.description): \(advice)", rawCode: result)
    }

    /// A call said that the connection is gone.
    func lost(_ result: Int32, wasConnected: Bool, systemError: Int32, detail: String?) -> MQTTError {
        if !wasConnected, address.isTLS, result == MOSQ_ERR_PROTOCOL.int { return certificateRefused(result) }
        let error =
            wasConnected
            ? MQTTError.of(
                result, "the connection to \(address) was lost", systemError: systemError, detail: detail)
            : cannotConnect(result, systemError: systemError, detail: detail)
        return error ?? MQTTError(.connectionLost, "the connection to \(address) was lost")
    }

    /// The broker's acknowledgement of a message said no.
    func refusedMessage(_ code: Int32, topic: String?) -> MQTTError {
        let text = String(cString: mosquitto_reason_string(code)).lowercased()
        return MQTTError(
            code == 0x87 ? .notAuthorized : .library,
            "\(address) refused the message on \(topic ?? "a topic") (\(text))"
                + (code == 0x87 ? ": check its access list" : ""), rawCode: code)
    }

    /// SUBACK said no.
    func refusedSubscription(_ code: Int32, filter: String) -> MQTTError {
        let text = String(cString: mosquitto_reason_string(code)).lowercased()
        return MQTTError(
            .notAuthorized, "\(address) refused the subscription to \(filter): \(text); check its access list",
            rawCode: code)
    }
}

extension MQTTAddress {
    /// What to do where no connection can be made; nil where the reason says it.
    fileprivate func advice(_ result: Int32, _ systemError: Int32) -> String? {
        if result == MOSQ_ERR_EAI.int || result == MOSQ_ERR_LOOKUP.int, host?.lowercased().hasSuffix(".local") == true {
            return
                "names in .local need mDNS on this machine (sudo apt install libnss-mdns), or write its address in numbers"
        }
        guard result == MOSQ_ERR_ERRNO.int, systemError == ECONNREFUSED else { return nil }
        let own = ["localhost", "::1", nil]
        return own.contains(host?.lowercased()) || host?.hasPrefix("127.") == true
            ? "is a broker running there? `lcp broker` starts one"
            : "is a broker running there, and for other machines? Without a listener in its file mosquitto hears its own only"
    }

    /// nil of a Unix socket.
    private var host: String? {
        switch self {
        case .tcp(let host, _), .tls(let host, _): host
        case .unix: nil
        }
    }
}
