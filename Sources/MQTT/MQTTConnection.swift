import CLinux
import CMosquitto
import Glibc
import Platform
import Synchronization

/// Counters of a client since it was made.
public struct MQTTStatistics: Sendable, Hashable {
    public var messagesReceived: UInt64 = 0
    public var messagesSent: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    public var bytesSent: UInt64 = 0
    /// Messages at QoS 0 that were lost with a connection before they were written.
    public var messagesLost: UInt64 = 0
    public var reconnects: UInt64 = 0
}

/// Owns the libmosquitto handle. Everything in here happens on the event loop's thread, but for the blocking part of opening a
/// connection: that has a thread of its own, and the event loop keeps its hands off the handle meanwhile.
final class MQTTConnection: EventLoopSource, @unchecked Sendable {
    private let handle: OpaquePointer
    private let configuration: MQTTConfiguration
    private let clientID: String
    private let loop: EventLoopCore
    private let scheduler: @Sendable (Duration, @escaping @Sendable () -> Void) -> EventLoopTimer
    private var machine: ConnectionMachine
    private var timer: EventLoopTimer?
    private var miscTimer: EventLoopTimer?
    private var hasConnectedBefore = false
    /// The first call opens a connection to the address, the later ones reopen it.
    private var wasOpened = false

    /// Errors and TLS reasons that libmosquitto only logs; the last line explains a failure best.
    private let lastLog = Mutex<String?>(nil)
    private var lossReason: MQTTError?

    // Messages on their way out.
    private struct Outgoing {
        var topic: String
        var payload: [UInt8]
        var qos: QoS
        var retain: Bool
        var properties: MQTTProperties?
        var completion: Completion?
        var bytes: Int { topic.utf8.count + payload.count }
    }
    typealias Completion = @Sendable (MQTTError?) -> Void
    private struct InFlight {
        var bytes: Int
        var qos: QoS
        var completion: Completion?
        /// For QoS 1 and 2, which the broker may refuse.
        var topic: String?
    }
    private var inFlight: [Int32: InFlight] = [:]
    /// QoS 1 and 2 messages that wait for a connection, or for room.
    private var pending = Ring<Outgoing>()
    private var justPublished: Int32 = -1
    private var justPublishedDone = false
    /// Bytes that are in flight or pending.
    let inFlightBytes = Atomic<Int>(0)

    // Subscriptions.
    private final class Entry {
        let filter: String
        /// What messages for this subscription carry on MQTT 5; 0 for none.
        let identifier: UInt32
        var options: MQTTSubscribeOptions
        var buffers: [MessageBuffer] = []
        var waiters: [Completion] = []
        init(filter: String, identifier: UInt32, options: MQTTSubscribeOptions) {
            self.filter = filter
            self.identifier = identifier
            self.options = options
        }
        /// The filter without `$share/GROUP/`.
        var topicFilter: Substring {
            guard filter.hasPrefix("$share/") else { return Substring(filter) }
            let rest = filter.dropFirst("$share/".count)
            return rest.firstIndex(of: "/").map { rest[rest.index(after: $0)...] } ?? rest
        }
    }
    private var entries: [Entry] = []
    private var nextIdentifier: UInt32 = 1
    private var subscribing: [Int32: Entry] = [:]
    /// Subscriptions that end as soon as the broker has acknowledged it, with what is done then.
    private var unsubscribing: [Int32: (entry: Entry, completion: @Sendable () -> Void)] = [:]

    /// Messages that handlers sent from inside libmosquitto's callback, where nothing is written yet.
    private var unflushed = 0
    private var isInCallback = false
    private static let longestFlush = Duration.microseconds(200)

    // Backpressure.
    private var isPaused = false
    private var pauseTimer: EventLoopTimer?
    private var pauseIsOver = false

    private var connectCompletion: Completion?
    private var closeCompletions: [@Sendable () -> Void] = []
    private var topics = TopicCache()
    let statistics = Mutex(MQTTStatistics())
    private let states = Mutex(States())
    private struct States {
        var current: MQTTConnectionState?
        var observers: [AsyncStream<MQTTConnectionState>.Continuation] = []
    }

    init(
        _ configuration: MQTTConfiguration, clientID: String, loop: EventLoopCore,
        scheduler: @escaping @Sendable (Duration, @escaping @Sendable () -> Void) -> EventLoopTimer
    ) throws(MQTTError) {
        _ = Self.library
        guard let handle = mosquitto_new(clientID, true, nil) else {
            throw MQTTError(
                .invalidConfiguration,
                "the client identifier \(clientID.debugDescription) cannot be used: \(reason(errno))")
        }
        self.handle = handle
        self.configuration = configuration
        self.clientID = clientID
        self.loop = loop
        self.scheduler = scheduler
        machine = ConnectionMachine(
            backoff: Backoff(configuration.reconnectDelay), connectTimeout: configuration.connectTimeout,
            unanswered: MQTTError(
                .unreachable,
                "\(configuration.address) did not answer in \(configuration.connectTimeout): is it an MQTT broker?"))
        try configure()
    }

    deinit { mosquitto_destroy(handle) }

    private static let library: Void = { _ = mosquitto_lib_init() }()

    /// Whether ``EventLoopTimer``s, jobs and this class share a thread: publishes are written at once there.
    var isOnLoop: Bool { loop.isCurrent }

    // MARK: Setting up

    private func configure() throws(MQTTError) {
        func check(_ result: Int32, _ action: String) throws(MQTTError) {
            if let error = MQTTError.of(result, action) {
                throw MQTTError(.invalidConfiguration, error.description, rawCode: error.rawCode)
            }
        }
        mosquitto_user_data_set(handle, Unmanaged.passUnretained(self).toOpaque())
        let version = configuration.protocolVersion == .v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311
        try check(mosquitto_int_option(handle, MOSQ_OPT_PROTOCOL_VERSION, version), "the protocol version")
        try check(mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1), "TCP_NODELAY")
        let window = Int32(clamping: max(1, min(65535, configuration.maximumInFlightMessages)))
        try check(mosquitto_int_option(handle, MOSQ_OPT_RECEIVE_MAXIMUM, window), "the receive maximum")
        try check(mosquitto_int_option(handle, MOSQ_OPT_SEND_MAXIMUM, window), "the send maximum")
        guard configuration.keepalive == 0 || (5...65535).contains(configuration.keepalive) else {
            throw MQTTError(
                .invalidConfiguration, "a keepalive has 5 to 65,535 seconds, not \(configuration.keepalive)")
        }
        if configuration.user != nil || configuration.password != nil {
            try check(
                mosquitto_username_pw_set(handle, configuration.user, configuration.password),
                "the user and the password")
        }
        if let will = configuration.will {
            try check(
                mosquitto_will_set_v5(
                    handle, will.topic, Int32(clamping: will.payload.count), will.payload, will.qos.rawValue,
                    will.retain, nil),
                "the last will on \(will.topic)")
        }
        if case .tls = configuration.address { try configureTLS(check) }
        mosquitto_connect_v5_callback_set(handle) { _, user, code, _, _ in MQTTConnection.of(user)?.onConnect(code) }
        mosquitto_disconnect_v5_callback_set(handle) { _, user, code, _ in MQTTConnection.of(user)?.onDisconnect(code) }
        mosquitto_publish_v5_callback_set(handle) { _, user, mid, code, _ in
            MQTTConnection.of(user)?.onPublish(mid, code)
        }
        mosquitto_subscribe_v5_callback_set(handle) { _, user, mid, count, granted, _ in
            MQTTConnection.of(user)?.onSubscribe(mid, count > 0 ? granted?.pointee : nil)
        }
        mosquitto_unsubscribe_v5_callback_set(handle) { _, user, mid, _ in MQTTConnection.of(user)?.onUnsubscribe(mid) }
        mosquitto_message_v5_callback_set(handle) { _, user, message, properties in
            if let message { MQTTConnection.of(user)?.onMessage(message.pointee, properties) }
        }
    }

    private func configureTLS(_ check: (Int32, String) throws(MQTTError) -> Void) throws(MQTTError) {
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
                handle, tls.certificateAuthorityFile, systemCertificates, tls.certificateFile, tls.keyFile, nil),
            "the files for TLS")
        try check(mosquitto_tls_opts_set(handle, 1, "tlsv1.2", nil), "TLS 1.2")
    }

    /// Listens to libmosquitto's log while a connection is made. Not longer: with a listener it formats a line for every packet.
    private func listenToLog(_ isOn: Bool) {
        guard isOn else { return mosquitto_log_callback_set(handle, nil) }
        mosquitto_log_callback_set(handle) { _, user, level, text in
            guard level & (Int32(MOSQ_LOG_ERR) | Int32(MOSQ_LOG_WARNING)) != 0, let text else { return }
            MQTTConnection.of(user)?.lastLog.withLock { $0 = String(cString: text) }
        }
    }

    private static func of(_ user: UnsafeMutableRawPointer?) -> MQTTConnection? {
        user.map { Unmanaged<MQTTConnection>.fromOpaque($0).takeUnretainedValue() }
    }

    // MARK: The connection's life

    func connect(_ completion: @escaping Completion) {
        guard machine.state == .idle else {
            completion(MQTTError(.closed, "a client connects once; make a new one"))
            return
        }
        connectCompletion = completion
        loop.setSource(self)
        step(.connect)
    }

    func close(_ completion: @escaping @Sendable () -> Void) {
        if machine.state == .closed {
            completion()
            return
        }
        closeCompletions.append(completion)
        step(.close)
        // The thread that opens a connection may take minutes, and nobody has to wait for it.
        if machine.state == .abandoned { completeClose() }
    }

    var stateStream: AsyncStream<MQTTConnectionState> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: MQTTConnectionState.self, bufferingPolicy: .bufferingNewest(16))
        states.withLock { states in
            if let current = states.current { continuation.yield(current) }
            if case .closed = states.current { continuation.finish() } else { states.observers.append(continuation) }
        }
        return stream
    }

    var isConnected: Bool { states.withLock { $0.current == .connected } }

    var isFinished: Bool {
        states.withLock { states in
            if case .closed = states.current { true } else { false }
        }
    }

    private func step(_ event: ConnectionMachine.Event) {
        for action in machine.handle(event) {
            switch action {
            case .openConnection: openConnection()
            case .dropConnection: dropConnection()
            case .startTimer(let delay):
                timer = scheduler(delay) { [weak self] in self?.step(.timerFired) }
            case .cancelTimer:
                timer?.cancel()
                timer = nil
            case .resume: resume()
            case .drain: drain()
            case .sendDisconnect:
                mosquitto_disconnect_v5(handle, 0, nil)
                if mosquitto_want_write(handle) { mosquitto_loop_write(handle, 1) }
            case .report(let state): report(state)
            case .failConnect(let error):
                connectCompletion?(error)
                connectCompletion = nil
            case .succeedConnect:
                connectCompletion?(nil)
                connectCompletion = nil
            case .finish: finish()
            }
        }
    }

    /// DNS, TCP and TLS block in libmosquitto 2.0, so they happen on a thread that lives just for them.
    private func openConnection() {
        lossReason = nil
        listenToLog(true)
        let reopen = wasOpened
        wasOpened = true
        do {
            try startThread(name: "mqtt-connect", stackSize: 1 << 20) { [self] in
                lastLog.withLock { $0 = nil }
                let error = open(again: reopen)
                loop.submit(.work { [self] in step(error.map { .failed($0) } ?? .opened) })
            }
        } catch {
            loop.submit(.work { [self] in step(.failed(MQTTError(error))) })
        }
    }

    private func open(again: Bool) -> MQTTError? {
        errno = 0
        let result: Int32
        if again {
            result = mosquitto_reconnect(handle)
        } else {
            var properties: OpaquePointer?
            defer { mosquitto_property_free_all(&properties) }
            if configuration.protocolVersion == .v5 {
                mosquitto_property_add_int32(
                    &properties, Int32(MQTT_PROP_MAXIMUM_PACKET_SIZE.rawValue),
                    UInt32(clamping: max(1024, configuration.maximumPacketSize)))
            }
            let (host, port): (String, Int) =
                switch configuration.address {
                case .tcp(let host, let port), .tls(let host, let port): (host, port)
                case .unix(let path): (path, 0)
                }
            result = mosquitto_connect_bind_v5(
                handle, host, Int32(port), Int32(configuration.keepalive), nil, properties)
        }
        return MQTTError.of(
            result, "cannot connect to \(configuration.address)", systemError: errno, detail: lastLog.withLock { $0 })
    }

    private func dropConnection() {
        miscTimer?.cancel()
        miscTimer = nil
        resumeReading()
        loop.socketClosed()
        let socket = mosquitto_socket(handle)
        // libmosquitto closes it with the next connection or with the handle; a dead one must not linger until then.
        if socket >= 0 { shutdown(socket, Int32(SHUT_RDWR)) }
        subscribing.removeAll(keepingCapacity: true)
        // What was being ended is not asked for again.
        finishUnsubscribing()
        unflushed = 0
        // Of what was not written, QoS 0 is gone; QoS 1 and 2 are kept by libmosquitto and sent again.
        for (mid, message) in inFlight where message.qos == .atMostOnce {
            inFlight[mid] = nil
            release(message.bytes)
            statistics.withLock { $0.messagesLost += 1 }
            message.completion?(
                MQTTError(.connectionLost, "the connection to \(configuration.address) went away first"))
        }
    }

    private func resume() {
        listenToLog(false)
        if hasConnectedBefore { statistics.withLock { $0.reconnects += 1 } }
        hasConnectedBefore = true
        scheduleMisc()
        for entry in entries { sendSubscribe(entry) }
        flushPending()
    }

    /// Keepalive and retries, about once a second.
    private func scheduleMisc() {
        miscTimer = scheduler(.seconds(1)) { [weak self] in
            guard let self, isUp else { return }
            let result = mosquitto_loop_misc(handle)
            if result != MOSQ_ERR_SUCCESS.int { lost(result) } else { scheduleMisc() }
        }
    }

    private var isUp: Bool {
        switch machine.state {
        case .connected, .draining, .handshaking: true
        default: false
        }
    }

    private func drain() {
        timer = scheduler(configuration.closeTimeout) { [weak self] in self?.step(.drained) }
        checkDrained()
    }

    private func checkDrained() {
        guard machine.state == .draining, inFlight.isEmpty, pending.isEmpty, !mosquitto_want_write(handle) else {
            return
        }
        step(.drained)
    }

    private func finish() {
        timer?.cancel()
        timer = nil
        let error = MQTTError(.closed, "the connection to \(configuration.address) is closed")
        for (_, message) in inFlight { message.completion?(error) }
        inFlight.removeAll()
        while let message = pending.popFirst() { message.completion?(error) }
        inFlightBytes.store(0, ordering: .relaxed)
        let entries = entries
        self.entries.removeAll()
        for entry in entries {
            for waiter in entry.waiters { waiter(error) }
            for buffer in entry.buffers { buffer.finish(nil) }
        }
        finishUnsubscribing()
        completeClose()
        loop.setSource(nil)
    }

    private func completeClose() {
        let completions = closeCompletions
        closeCompletions.removeAll()
        for completion in completions { completion() }
    }

    private func report(_ state: MQTTConnectionState) {
        let observers = states.withLock { states in
            states.current = state
            return states.observers
        }
        for observer in observers {
            observer.yield(state)
            if case .closed = state { observer.finish() }
        }
    }

    /// A call said that the connection is gone.
    private func lost(_ result: Int32) {
        let code = errno
        let detail = lastLog.withLock { $0 }
        var error = lossReason
        if error == nil, case .handshaking = machine.state, result == MOSQ_ERR_CONN_LOST.int {
            error = MQTTError(
                .unreachable,
                "\(configuration.address) ended the connection before it answered: is it a broker's port, and without TLS?",
                rawCode: result)
        }
        lossReason = nil
        step(
            .failed(
                error
                    ?? MQTTError.of(
                        result,
                        machine.state == .connected
                            ? "the connection to \(configuration.address) was lost"
                            : "cannot connect to \(configuration.address)",
                        systemError: code, detail: detail)
                    ?? MQTTError(.connectionLost, "the connection to \(configuration.address) was lost")))
    }

    // MARK: The socket

    func willSleep() {
        guard isUp else { return }
        let socket = mosquitto_socket(handle)
        guard socket >= 0 else { return }
        let reads = isPaused ? 0 : EPOLLIN.rawValue
        loop.watch(socket, for: mosquitto_want_write(handle) ? reads | EPOLLOUT.rawValue : reads)
        if machine.state == .draining { checkDrained() }
    }

    func socketReady(_ events: UInt32) {
        guard isUp else { return }
        if events & EPOLLOUT.rawValue != 0 {
            let result = mosquitto_loop_write(handle, 1)
            guard result == MOSQ_ERR_SUCCESS.int else { return lost(result) }
        }
        guard events & ~EPOLLOUT.rawValue != 0 else { return }
        if isPaused, events & EPOLLIN.rawValue == 0 { return lost(MOSQ_ERR_CONN_LOST.int) }
        // What the first message sets off runs before the second is read, and nobody waits for more than 64 of them.
        var firstAnswer: ContinuousClock.Instant?
        for _ in 0..<64 {
            let result = mosquitto_loop_read(handle, 1)
            guard result == MOSQ_ERR_SUCCESS.int else { return lost(result) }
            loop.runQueued()
            var available: Int32 = 0
            let goesOn =
                isUp && !isPaused && ioctl(mosquitto_socket(handle), UInt(FIONREAD), &available) == 0 && available > 0
            if unflushed > 0 {
                // While more messages lie ready, answers may travel together, but none waits long for the next.
                let now = goesOn ? ContinuousClock.now : nil
                firstAnswer = firstAnswer ?? now
                if let now, let firstAnswer, now - firstAnswer < Self.longestFlush, unflushed < 32 { continue }
                firstAnswer = nil
                guard flush() else { return }
            }
            guard goesOn else { return }
        }
        if unflushed > 0 { _ = flush() }
    }

    /// Writes what handlers sent from inside libmosquitto's callback, as one segment where that is several messages.
    private func flush() -> Bool {
        let socket = mosquitto_socket(handle)
        let isSeveral = unflushed > 1
        unflushed = 0
        if isSeveral { cork(socket, 1) }
        let result = mosquitto_loop_write(handle, 1)
        if isSeveral { cork(socket, 0) }
        if result != MOSQ_ERR_SUCCESS.int { lost(result) }
        return result == MOSQ_ERR_SUCCESS.int
    }

    private func cork(_ socket: Int32, _ value: Int32) {
        var value = value
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_CORK, &value, 4)
    }

    // MARK: Callbacks, made inside a call of ours, with libmosquitto's lock held

    private func onConnect(_ code: Int32) {
        if code == 0 {
            loop.submit(.work { [self] in step(.accepted) })
        } else {
            lossReason = refusal(code)
        }
    }

    private func onDisconnect(_ code: Int32) {
        guard code != 0, lossReason == nil else { return }
        // Reason codes of the broker's DISCONNECT start at 0x80; below are libmosquitto's own results, which the call returns.
        guard code >= 0x80 else { return }
        let text =
            code == Int32(MQTT_RC_SESSION_TAKEN_OVER.rawValue)
            ? "another client with the identifier \(clientID.debugDescription) connected: each needs its own"
            : String(cString: mosquitto_reason_string(code))
        lossReason = MQTTError(.connectionLost, "\(configuration.address) ended the connection: \(text)", rawCode: code)
    }

    private func refusal(_ code: Int32) -> MQTTError {
        let isV5 = configuration.protocolVersion == .v5
        let text = String(cString: isV5 ? mosquitto_reason_string(code) : mosquitto_connack_string(code))
        let credentials: Set<Int32> = isV5 ? [0x86, 0x87] : [4, 5]
        var advice = ""
        if credentials.contains(code) {
            advice =
                configuration.user.map { ": check the user \($0.debugDescription) and its password" }
                ?? ": it asks for a user and a password"
        } else if isV5 ? code == 0x84 : code == 1 {
            advice = ": it does not speak \(isV5 ? "MQTT 5; try 3.1.1" : "MQTT 3.1.1; try 5")"
        }
        var reason = text
        while reason.hasSuffix(".") { reason.removeLast() }
        return MQTTError(
            .refused, "\(configuration.address) refused the connection (\(reason.lowercased()))\(advice)", rawCode: code
        )
    }

    private func onPublish(_ mid: Int32, _ code: Int32) {
        guard let message = inFlight.removeValue(forKey: mid) else {
            if mid == justPublished || justPublished == -2 { justPublishedDone = true }
            return
        }
        release(message.bytes)
        if let completion = message.completion {
            completion(code >= 0x80 ? refusedMessage(code, message.topic) : nil)
        }
        if !pending.isEmpty { loop.submit(.work { [self] in flushPending() }) }
    }

    private func refusedMessage(_ code: Int32, _ topic: String?) -> MQTTError {
        let text = String(cString: mosquitto_reason_string(code)).lowercased()
        return MQTTError(
            code == 0x87 ? .notAuthorized : .library,
            "\(configuration.address) refused the message on \(topic ?? "a topic") (\(text))"
                + (code == 0x87 ? ": check its access list" : ""), rawCode: code)
    }

    private func onSubscribe(_ mid: Int32, _ granted: Int32?) {
        guard let entry = subscribing.removeValue(forKey: mid) else { return }
        let waiters = entry.waiters
        entry.waiters = []
        guard let granted, granted >= 0x80 else {
            for waiter in waiters { waiter(nil) }
            return
        }
        let text = String(cString: mosquitto_reason_string(granted)).lowercased()
        let error = MQTTError(
            .notAuthorized,
            "\(configuration.address) refused the subscription to \(entry.filter): \(text); check its access list",
            rawCode: granted)
        entries.removeAll { $0 === entry }
        for waiter in waiters { waiter(error) }
        for buffer in entry.buffers { buffer.finish(error) }
    }

    private func onUnsubscribe(_ mid: Int32) {
        guard let (entry, completion) = unsubscribing.removeValue(forKey: mid) else { return }
        end(entry, completion)
    }

    private func finishUnsubscribing() {
        let ended = unsubscribing.values
        unsubscribing.removeAll()
        for (entry, completion) in ended { end(entry, completion) }
    }

    private func end(_ entry: Entry, _ completion: @Sendable () -> Void) {
        entries.removeAll { $0 === entry }
        for buffer in entry.buffers { buffer.finish(nil) }
        entry.buffers = []
        completion()
    }

    private func onMessage(_ message: mosquitto_message, _ list: OpaquePointer?) {
        guard let name = message.topic else { return }
        var identified: Entry?
        var more: [Entry] = []
        let properties = MQTTProperties.read(list) { identifier in
            guard let entry = entries.first(where: { $0.identifier == identifier }) else { return }
            if identified == nil { identified = entry } else { more.append(entry) }
        }
        let view = MQTTMessageView(
            topic: topics.string(name),
            payload: UnsafeRawBufferPointer(start: message.payload, count: Int(max(0, message.payloadlen))),
            qos: QoS(rawValue: message.qos) ?? .atMostOnce, retained: message.retain, properties: properties,
            received: .now)
        statistics.withLock {
            $0.messagesReceived += 1
            $0.bytesReceived += UInt64(view.payload.count)
        }
        if let identified {
            deliver(view, to: identified)
            for entry in more { deliver(view, to: entry) }
        } else if nextIdentifier == 1, entries.count == 1 {
            // There never was another, whose last message this could be.
            deliver(view, to: entries[0])
        } else {
            let isV5 = configuration.protocolVersion == .v5
            for entry in entries
            where (!isV5 || entry.identifier == 0) && TopicFilter.matches(entry.topicFilter, view.topic) {
                deliver(view, to: entry)
            }
        }
    }

    private func deliver(_ view: MQTTMessageView, to entry: Entry) {
        for buffer in entry.buffers {
            if let handler = buffer.handler {
                guard !buffer.isFinished else { continue }
                isInCallback = true
                handler(view)
                isInCallback = false
            } else if buffer.accepts?(view) != false,
                buffer.deliver(view.message, mayStopReading: !pauseIsOver) == .full
            {
                stopReading()
            }
        }
    }

    // MARK: Backpressure

    private func stopReading() {
        guard !isPaused else { return }
        isPaused = true
        // PINGRESP goes unread, too, so the pause must end before the keepalive does.
        let longest = Duration.seconds(configuration.keepalive == 0 ? 30 : configuration.keepalive) / 2
        pauseTimer = scheduler(longest) { [weak self] in
            self?.pauseIsOver = true
            self?.resumeReading()
        }
    }

    private func resumeReading() {
        isPaused = false
        pauseTimer?.cancel()
        pauseTimer = nil
    }

    /// A consumer made room.
    func roomIsBack() {
        pauseIsOver = false
        resumeReading()
    }

    // MARK: Publishing

    private func release(_ bytes: Int) { inFlightBytes.subtract(bytes, ordering: .relaxed) }

    /// Takes `bytes` of the budget, or returns false where they do not fit. A message larger than the whole budget passes alone.
    func reserve(_ bytes: Int) -> Bool {
        let before = inFlightBytes.add(bytes, ordering: .relaxed).oldValue
        if before + bytes <= configuration.maximumInFlightBytes || before == 0 { return true }
        release(bytes)
        return false
    }

    var notConnected: MQTTError {
        machine.state == .closed || machine.state == .abandoned
            ? MQTTError(.closed, "the connection to \(configuration.address) is closed")
            : MQTTError(.notConnected, "there is no connection to \(configuration.address) at the moment")
    }

    var bufferFull: MQTTError {
        MQTTError(
            .bufferFull,
            "\(configuration.address) takes messages more slowly than they come: \(configuration.maximumInFlightBytes) bytes wait"
        )
    }

    /// Writes a message now, or hands it to libmosquitto where the socket is full. Its bytes are reserved already.
    func publish(
        _ topic: String, _ payload: UnsafeRawBufferPointer, _ qos: QoS, _ retain: Bool, _ properties: MQTTProperties?,
        _ completion: Completion?
    ) throws(MQTTError) {
        let bytes = topic.utf8.count + payload.count
        guard machine.state == .connected else {
            if qos != .atMostOnce, machine.state != .closed, machine.state != .abandoned, machine.state != .draining {
                pending.append(
                    Outgoing(
                        topic: topic, payload: Array(payload), qos: qos, retain: retain, properties: properties,
                        completion: completion))
                return
            }
            release(bytes)
            throw notConnected
        }
        var mid: Int32 = 0
        justPublished = -2
        justPublishedDone = false
        let result: Int32
        errno = 0
        if let properties, configuration.protocolVersion == .v5 {
            do {
                result = try properties.withList { list throws(MQTTError) in
                    mosquitto_publish_v5(
                        handle, &mid, topic, Int32(clamping: payload.count), payload.baseAddress, qos.rawValue, retain,
                        list)
                }
            } catch {
                release(bytes)
                throw error
            }
        } else {
            result = mosquitto_publish_v5(
                handle, &mid, topic, Int32(clamping: payload.count), payload.baseAddress, qos.rawValue, retain, nil)
        }
        justPublished = -1
        if isInCallback { unflushed += 1 }
        if result != MOSQ_ERR_SUCCESS.int {
            let isLoss = [MOSQ_ERR_CONN_LOST.int, MOSQ_ERR_ERRNO.int, MOSQ_ERR_NO_CONN.int, MOSQ_ERR_TLS.int].contains(
                result)
            if isLoss, qos != .atMostOnce {
                // libmosquitto has queued it all the same, and sends it after the reconnect.
                inFlight[mid] = InFlight(
                    bytes: bytes, qos: qos, completion: completion, topic: qos == .atMostOnce ? nil : topic)
                loop.submit(.work { [self] in lost(result) })
                return
            }
            release(bytes)
            if isLoss { loop.submit(.work { [self] in if mosquitto_socket(handle) < 0 { lost(result) } }) }
            throw MQTTError.of(result, "cannot publish on \(topic.debugDescription)") ?? notConnected
        }
        statistics.withLock {
            $0.messagesSent += 1
            $0.bytesSent += UInt64(payload.count)
        }
        if justPublishedDone {
            release(bytes)
            completion?(nil)
        } else {
            inFlight[mid] = InFlight(
                bytes: bytes, qos: qos, completion: completion, topic: qos == .atMostOnce ? nil : topic)
        }
    }

    private func flushPending() {
        while machine.state == .connected, let message = pending.popFirst() {
            message.payload.withUnsafeBytes { bytes in
                do throws(MQTTError) {
                    try publish(
                        message.topic, bytes, message.qos, message.retain, message.properties, message.completion)
                } catch {
                    message.completion?(error)
                }
            }
        }
    }

    // MARK: Subscribing

    func subscribe(
        _ filter: String, _ options: MQTTSubscribeOptions, _ buffer: MessageBuffer, _ completion: @escaping Completion
    ) {
        guard machine.state != .closed, machine.state != .abandoned, machine.state != .draining else {
            completion(notConnected)
            return
        }
        let entry: Entry
        if let existing = entries.first(where: { $0.filter == filter }) {
            entry = existing
            entry.options = options
        } else {
            // The first goes without: identifiers cost broker and client time with every message, and one subscription that
            // has none can be told from all that have one.
            entry = Entry(filter: filter, identifier: entries.isEmpty ? 0 : nextIdentifier, options: options)
            if !entries.isEmpty { nextIdentifier += 1 }
            entries.append(entry)
        }
        entry.buffers.append(buffer)
        entry.waiters.append(completion)
        if machine.state == .connected { sendSubscribe(entry) }
    }

    private func sendSubscribe(_ entry: Entry) {
        var properties: OpaquePointer?
        defer { mosquitto_property_free_all(&properties) }
        var flags: Int32 = 0
        if configuration.protocolVersion == .v5 {
            if entry.identifier > 0 {
                mosquitto_property_add_varint(
                    &properties, Int32(MQTT_PROP_SUBSCRIPTION_IDENTIFIER.rawValue), entry.identifier)
            }
            if entry.options.noLocal { flags |= Int32(MQTT_SUB_OPT_NO_LOCAL.rawValue) }
            if !entry.options.receivesRetained { flags |= Int32(MQTT_SUB_OPT_SEND_RETAIN_NEVER.rawValue) }
        }
        var mid: Int32 = 0
        errno = 0
        let result = mosquitto_subscribe_v5(handle, &mid, entry.filter, entry.options.qos.rawValue, flags, properties)
        if result == MOSQ_ERR_SUCCESS.int {
            subscribing[mid] = entry
        } else if let error = MQTTError.of(result, "cannot subscribe to \(entry.filter.debugDescription)") {
            // Where the connection went, the subscription comes with the next one.
            guard ![.connectionLost, .notConnected, .unreachable].contains(error.code) else { return }
            entries.removeAll { $0 === entry }
            for waiter in entry.waiters { waiter(error) }
            for buffer in entry.buffers { buffer.finish(error) }
        }
    }

    /// Ends a subscription; what the broker has sent until it acknowledges that is still delivered. `completion` is called
    /// then.
    func end(_ buffer: MessageBuffer, _ completion: @escaping @Sendable () -> Void) {
        guard let entry = entries.first(where: { $0.buffers.contains { $0 === buffer } }) else { return completion() }
        var mid: Int32 = 0
        guard entry.buffers.count == 1, machine.state == .connected,
            mosquitto_unsubscribe(handle, &mid, entry.filter) == MOSQ_ERR_SUCCESS.int
        else {
            remove(buffer)
            buffer.finish(nil)
            return completion()
        }
        unsubscribing[mid] = (entry, completion)
    }

    func remove(_ buffer: MessageBuffer) {
        guard let entry = entries.first(where: { $0.buffers.contains { $0 === buffer } }) else { return }
        entry.buffers.removeAll { $0 === buffer }
        roomIsBack()
        guard entry.buffers.isEmpty else { return }
        entries.removeAll { $0 === entry }
        if machine.state == .connected { mosquitto_unsubscribe(handle, nil, entry.filter) }
    }
}

private func reason(_ code: Int32) -> String { String(cString: strerror(code)) }

/// The topics seen lately as Swift strings: the same few come again and again, and making a string of each costs an allocation.
struct TopicCache {
    private var slots = [String?](repeating: nil, count: 64)

    mutating func string(_ name: UnsafePointer<CChar>) -> String {
        let count = strlen(name)
        var hash: UInt32 = 2_166_136_261
        for index in 0..<count { hash = (hash ^ UInt32(UInt8(bitPattern: name[index]))) &* 16_777_619 }
        let slot = Int(hash & 63)
        if let known = slots[slot], known.utf8.count == count, known.withCString({ memcmp($0, name, count) == 0 }) {
            return known
        }
        let string = String(cString: name)
        // A stranger's long topics are not worth keeping.
        if string.utf8.count <= 256 { slots[slot] = string }
        return string
    }
}
