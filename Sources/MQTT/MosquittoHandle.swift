import CMosquitto
import CMosquittoNew
import Glibc
import Platform
import Synchronization

/// Owns libmosquitto's handle: how it is set up and opened, and the calls that take it.
///
/// All of it is called on the event loop's thread, but for ``open(again:)``, which blocks and has a thread of its own. The event
/// loop keeps its hands off the handle meanwhile.
final class MosquittoHandle: @unchecked Sendable {
    private let pointer: OpaquePointer
    private let configuration: MQTTConfiguration
    private let nodes: ClusterNodes
    private let isOpening = Atomic<Bool>(false)
    private let speaksV5: Atomic<Bool>
    /// Errors and TLS reasons that libmosquitto only logs; the last line explains a failure best.
    private let lastLog = Mutex<String?>(nil)

    init(_ configuration: MQTTConfiguration, clientID: String, nodes: ClusterNodes) throws(MQTTError) {
        _ = Self.library
        guard let pointer = lcp_mosquitto_new(clientID, true, nil) else {
            throw MQTTError(
                .invalidConfiguration,
                "the client identifier \(clientID.debugDescription) cannot be used: \(reason(errno))")
        }
        self.pointer = pointer
        self.configuration = configuration
        self.nodes = nodes
        speaksV5 = Atomic(configuration.protocolVersion == .v5)
        try configure()
    }

    deinit { mosquitto_destroy(pointer) }

    private static let library: Void = {
        OpenSSL.prepared
        _ = mosquitto_lib_init()
    }()

    /// Whether MQTT 5 is spoken, and 3.1.1 otherwise. Told on any thread.
    var isV5: Bool { speaksV5.load(ordering: .relaxed) }

    /// Speaks 3.1.1 from the next connection on.
    func useOlderVersion() {
        mosquitto_int_option(usable, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V311)
        speaksV5.store(false, ordering: .relaxed)
    }

    // MARK: Setting up

    private func configure() throws(MQTTError) {
        let version = isV5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311
        try check(mosquitto_int_option(pointer, MOSQ_OPT_PROTOCOL_VERSION, version), "the protocol version")
        try check(mosquitto_int_option(pointer, MOSQ_OPT_TCP_NODELAY, 1), "TCP_NODELAY")
        let window = Int32(clamping: max(1, min(65535, configuration.maximumInFlightMessages)))
        try check(mosquitto_int_option(pointer, MOSQ_OPT_RECEIVE_MAXIMUM, window), "the receive maximum")
        try check(mosquitto_int_option(pointer, MOSQ_OPT_SEND_MAXIMUM, window), "the send maximum")
        guard configuration.keepalive == 0 || (5...65535).contains(configuration.keepalive) else {
            throw MQTTError(
                .invalidConfiguration, "a keepalive has 5 to 65,535 seconds, not \(configuration.keepalive)")
        }
        if configuration.user != nil || configuration.password != nil {
            try check(
                mosquitto_username_pw_set(pointer, configuration.user, configuration.password),
                "the user and the password")
        }
        if let will = configuration.will {
            // The library's own, once it has taken them.
            var properties: OpaquePointer?
            if let expiry = will.expiry, configuration.protocolVersion == .v5 {
                try check(
                    mosquitto_property_add_int32(
                        &properties, Int32(MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.rawValue), expiry),
                    "the last will's expiry")
            }
            let result = mosquitto_will_set_v5(
                pointer, will.topic, Int32(clamping: will.payload.count), will.payload, will.qos.rawValue,
                will.retain, properties)
            if result != MOSQ_ERR_SUCCESS.rawValue { mosquitto_property_free_all(&properties) }
            try check(result, "the last will on \(will.topic)")
        }
        if case .tls = configuration.address { try configureTLS() }
    }

    private func configureTLS() throws(MQTTError) {
        let tls = configuration.tls
        for file in [tls.certificateAuthorityFile, tls.certificateFile, tls.keyFile] {
            if let file, access(file, R_OK) != 0 {
                throw MQTTError(.invalidConfiguration, "cannot read \(file): \(reason(errno))")
            }
        }
        guard (tls.certificateFile == nil) == (tls.keyFile == nil) else {
            throw MQTTError(
                .invalidConfiguration, "a client certificate and its key belong together: one of the two is missing")
        }
        let systemCertificates = tls.certificateAuthorityFile == nil ? "/etc/ssl/certs" : nil
        try check(
            mosquitto_tls_set(
                pointer, tls.certificateAuthorityFile, systemCertificates, tls.certificateFile, tls.keyFile, nil),
            "the files for TLS")
        try check(mosquitto_tls_opts_set(pointer, 1, "tlsv1.2", nil), "TLS 1.2")
    }

    private func check(_ result: Int32, _ action: String) throws(MQTTError) {
        if let error = MQTTError.of(result, action) {
            throw MQTTError(.invalidConfiguration, error.description, rawCode: error.rawCode)
        }
    }

    /// Makes libmosquitto call `connection` from inside the calls below. The connection owns this handle, so it is there then.
    func setCallbacks(_ connection: MQTTConnection) {
        mosquitto_user_data_set(pointer, Unmanaged.passUnretained(connection).toOpaque())
        mosquitto_connect_v5_callback_set(pointer) { _, user, code, _, properties in
            receiver(user)?.onConnect(code, MQTTBrokerLimits(properties))
        }
        mosquitto_disconnect_v5_callback_set(pointer) { _, user, code, _ in receiver(user)?.onDisconnect(code) }
        mosquitto_publish_v5_callback_set(pointer) { _, user, number, code, _ in
            receiver(user)?.onPublish(number, code)
        }
        mosquitto_subscribe_v5_callback_set(pointer) { _, user, number, count, granted, _ in
            receiver(user)?.onSubscribe(number, count > 0 ? granted?.pointee : nil)
        }
        mosquitto_unsubscribe_v5_callback_set(pointer) { _, user, number, _ in receiver(user)?.onUnsubscribe(number) }
        mosquitto_message_v5_callback_set(pointer) { _, user, message, properties in
            if let message { receiver(user)?.onMessage(message.pointee, properties) }
        }
    }

    // MARK: Opening

    /// What libmosquitto said last while a connection was made.
    var lastComplaint: String? { lastLog.withLock { $0 } }

    /// Listens to libmosquitto's log while a connection is made. Not longer: with a listener it formats a line for every packet.
    func listenToLog(_ isOn: Bool) {
        guard isOn else { return mosquitto_log_callback_set(usable, nil) }
        mosquitto_log_callback_set(usable) { _, user, level, text in
            guard level & (Int32(MOSQ_LOG_ERR) | Int32(MOSQ_LOG_WARNING)) != 0, let text else { return }
            receiver(user)?.handle.lastLog.withLock { $0 = String(cString: text) }
        }
    }

    /// From now on a thread has the handle that calls ``open(again:)``.
    func willOpen() { isOpening.store(true, ordering: .relaxed) }

    /// That thread is done.
    func didOpen() { isOpening.store(false, ordering: .relaxed) }

    /// Opens the connection and sends CONNECT. Blocks: on DNS, TCP and TLS.
    ///
    /// - Parameter again: whether it is another connection to the same address.
    func open(again: Bool) -> (result: Int32, systemError: Int32) {
        lastLog.withLock { $0 = nil }
        if nodes.count > 1 {
            let (result, systemError) = ClusterNodes.tries(nodes.current)
            guard result == MOSQ_ERR_SUCCESS.int else { return (result, systemError) }
        }
        errno = 0
        let result = again ? mosquitto_reconnect(pointer) : connect()
        let systemError = errno
        // A program that is started would keep the connection open, and the broker would not see it end.
        let socket = mosquitto_socket(pointer)
        if socket >= 0 { _ = fcntl(socket, F_SETFD, FD_CLOEXEC) }
        return (result, systemError)
    }

    private func connect() -> Int32 {
        var properties: OpaquePointer?
        defer { mosquitto_property_free_all(&properties) }
        if isV5 {
            mosquitto_property_add_int32(
                &properties, Int32(MQTT_PROP_MAXIMUM_PACKET_SIZE.rawValue),
                UInt32(clamping: max(1024, configuration.maximumPacketSize)))
        }
        let (host, port): (String, Int) =
            switch nodes.current {
            case .tcp(let host, let port), .tls(let host, let port): (host, port)
            case .unix(let path): (path, 0)
            }
        return mosquitto_connect_bind_v5(
            pointer, host, Int32(port), Int32(configuration.keepalive), nil, properties)
    }

    // MARK: The calls

    /// The handle, for the event loop's thread.
    private var usable: OpaquePointer {
        assert(!isOpening.load(ordering: .relaxed), "another thread is opening the connection")
        return pointer
    }

    /// −1 for none.
    var socket: Int32 { mosquitto_socket(usable) }

    var wantsToWrite: Bool { mosquitto_want_write(usable) }

    /// Reads one packet, as far as it is there.
    func read() -> Int32 { mosquitto_loop_read(usable, 1) }

    /// Writes what waits, as far as the socket takes it.
    func write() -> Int32 { mosquitto_loop_write(usable, 1) }

    /// Keepalive and retries, about once a second.
    func maintain() -> Int32 { mosquitto_loop_misc(usable) }

    /// Publishes, where the socket takes it at once; its number is known when the call returns.
    func publish(
        _ topic: String, _ payload: UnsafeRawBufferPointer, _ qos: QoS, _ retain: Bool, _ properties: OpaquePointer?,
        number: inout Int32
    ) -> Int32 {
        errno = 0
        return mosquitto_publish_v5(
            usable, &number, topic, Int32(clamping: payload.count), payload.baseAddress, qos.rawValue, retain,
            properties)
    }

    func subscribe(_ filter: String, _ options: MQTTSubscribeOptions, identifier: UInt32, number: inout Int32) -> Int32
    {
        var properties: OpaquePointer?
        defer { mosquitto_property_free_all(&properties) }
        var flags: Int32 = 0
        if isV5 {
            if identifier > 0 {
                mosquitto_property_add_varint(
                    &properties, Int32(MQTT_PROP_SUBSCRIPTION_IDENTIFIER.rawValue), identifier)
            }
            if options.noLocal { flags |= Int32(MQTT_SUB_OPT_NO_LOCAL.rawValue) }
            if !options.receivesRetained { flags |= Int32(MQTT_SUB_OPT_SEND_RETAIN_NEVER.rawValue) }
        }
        errno = 0
        return mosquitto_subscribe_v5(usable, &number, filter, options.qos.rawValue, flags, properties)
    }

    /// - Returns: the number of the packet, or nil where it was not sent.
    @discardableResult
    func unsubscribe(_ filter: String) -> Int32? {
        var number: Int32 = 0
        return mosquitto_unsubscribe(usable, &number, filter) == MOSQ_ERR_SUCCESS.int ? number : nil
    }

    func disconnect() {
        mosquitto_disconnect_v5(usable, 0, nil)
        if wantsToWrite { _ = write() }
    }

    /// Ends the connection. libmosquitto closes the socket with the next connection or with the handle; a dead one must not
    /// linger until then.
    func shutDown() {
        let socket = socket
        if socket >= 0 { shutdown(socket, Int32(SHUT_RDWR)) }
    }
}

private func receiver(_ user: UnsafeMutableRawPointer?) -> MQTTConnection? {
    user.map { Unmanaged<MQTTConnection>.fromOpaque($0).takeUnretainedValue() }
}

private func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
