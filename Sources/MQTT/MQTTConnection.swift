import Platform
import CMosquitto
import Glibc
import Synchronization

/// The life of a connection: does what ``ConnectionMachine`` says, and tells it what happens.
///
/// Everything in here happens on the event loop's thread, but for the blocking part of opening a connection: that has a thread of
/// its own, and the event loop keeps its hands off the handle meanwhile.
final class MQTTConnection: EventLoopSource, @unchecked Sendable {
    typealias Completion = @Sendable (MQTTError?) -> Void
    typealias Scheduler = @Sendable (Duration, @escaping @Sendable () -> Void) -> EventLoopTimer

    let handle: MosquittoHandle
    let nodes: ClusterNodes
    let socket: ConnectionSocket
    let errors: ConnectionErrors
    /// Told on any thread.
    var isV5: Bool { handle.isV5 }
    private let triesOlderVersion: Bool
    let loop: EventLoopCore
    private let closeTimeout: Duration
    let scheduler: Scheduler

    private var machine: ConnectionMachine
    private var timer: EventLoopTimer?
    private var maintenanceTimer: EventLoopTimer?
    private var hasConnectedBefore = false
    /// The first call opens a connection to the address, the later ones reopen it.
    private var wasOpened = false
    /// Why the connection is about to be lost, where the broker said so.
    private var lossReason: MQTTError?
    private var connectCompletion: Completion?
    private var closeCompletions: [@Sendable () -> Void] = []

    var outgoing = OutgoingMessages()
    var subscriptions = SubscriptionTable()
    var topics = TopicCache()
    var trial = PacketTrial()

    /// So often the connection is lost while the broker is asked for one thing, and then that thing is given up: a broker may end
    /// the connection for a packet that it does not like.
    static let longestPatience = 5

    // For every thread.
    let budget: ByteBudget
    let statistics = Mutex(MQTTStatistics())
    let states = ConnectionStates()

    init(
        _ configuration: MQTTConfiguration, clientID: String, loop: EventLoopCore, scheduler: @escaping Scheduler
    ) throws(MQTTError) {
        nodes = ClusterNodes(configuration.addresses, first: configuration.startsAtFirstNode ? 0 : nil)
        let handle = try MosquittoHandle(configuration, clientID: clientID, nodes: nodes)
        self.handle = handle
        self.loop = loop
        self.scheduler = scheduler
        errors = ConnectionErrors(configuration, clientID: clientID, nodes: nodes)
        triesOlderVersion = configuration.protocolVersion == .v5 && configuration.triesOlderVersion
        closeTimeout = configuration.closeTimeout
        socket = ConnectionSocket(handle, keepalive: configuration.keepalive, loop: loop, scheduler: scheduler)
        budget = ByteBudget(limit: configuration.maximumInFlightBytes)
        machine = ConnectionMachine(
            backoff: Backoff(configuration.reconnectDelay), connectTimeout: configuration.connectTimeout,
            unanswered: errors.unanswered, waitsForBroker: configuration.waitsForBroker, nodes: nodes.count)
        handle.setCallbacks(self)
    }

    /// Every entry but the initializer says so first; in a release build that costs nothing.
    func assertOnLoop(_ function: StaticString = #function) {
        assert(loop.isCurrent, "\(function) is called on the event loop's thread only")
    }

    var state: ConnectionMachine.State {
        assertOnLoop()
        return machine.state
    }

    /// Whether there will be no connection any more.
    var isOver: Bool {
        switch state {
        case .closed, .abandoned, .draining: true
        default: false
        }
    }

    /// Why nothing can be sent at the moment.
    var notConnected: MQTTError {
        state == .closed || state == .abandoned ? errors.closed : errors.notConnected
    }

    private var isUp: Bool {
        switch machine.state {
        case .connected, .draining, .handshaking: true
        default: false
        }
    }

    // MARK: From outside

    func connect(_ completion: @escaping Completion) {
        guard state == .idle else {
            completion(MQTTError(.closed, "a client connects once; make a new one"))
            return
        }
        connectCompletion = completion
        loop.setSource(self)
        step(.connect)
    }

    func close(_ completion: @escaping @Sendable () -> Void) {
        if state == .closed {
            completion()
            return
        }
        closeCompletions.append(completion)
        step(.close)
        // The thread that opens a connection may take minutes, and nobody has to wait for it.
        if machine.state == .abandoned { completeClose() }
    }

    // MARK: What the machine says

    private func step(_ event: ConnectionMachine.Event) {
        assertOnLoop()
        let wasConnected = machine.state == .connected
        for action in machine.handle(event) {
            switch action {
            case .openConnection: openConnection()
            case .takeNextNode:
                nodes.advance()
                wasOpened = false
            case .dropConnection: dropConnection()
            case .startTimer(let delay):
                // Where there is another version to try, half of the time is left for that.
                timer = scheduler(mayTryOlderVersion ? delay / 2 : delay) { [weak self] in self?.timerFired() }
            case .cancelTimer:
                timer?.cancel()
                timer = nil
            case .resume: resume()
            case .drain: drain()
            case .sendDisconnect: handle.disconnect()
            // Who was connected has not asked the others yet.
            case .report(.waiting(let error, let retry)) where !wasConnected:
                report(.waiting(errors.ofAll(error), retry: retry))
            case .report(let state): report(state)
            case .failConnect(let error):
                connectCompletion?(errors.ofAll(error))
                connectCompletion = nil
            case .succeedConnect:
                connectCompletion?(nil)
                connectCompletion = nil
            case .finish: finish()
            }
        }
    }

    /// Whether the first CONNECT has no answer yet, and an older version of the protocol can be tried.
    private var mayTryOlderVersion: Bool {
        machine.state == .handshaking(first: true) && triesOlderVersion && isV5
    }

    private func timerFired() {
        // There are brokers that do not answer what they do not know.
        if mayTryOlderVersion { return useOlderVersion() }
        step(.timerFired)
    }

    private func useOlderVersion() {
        handle.useOlderVersion()
        wasOpened = false
        step(.versionRefused)
    }

    /// DNS, TCP and TLS block in libmosquitto 2.0, so they happen on a thread that lives just for them.
    private func openConnection() {
        lossReason = nil
        handle.listenToLog(true)
        let reopen = wasOpened
        wasOpened = true
        handle.willOpen()
        do {
            try startThread(name: "mqtt-connect", stackSize: 1 << 20) { [self] in
                let (result, systemError) = handle.open(again: reopen)
                let error = errors.cannotConnect(result, systemError: systemError, detail: handle.lastComplaint)
                loop.submit(.work { [self] in opened(error) })
            }
        } catch {
            loop.submit(.work { [self] in opened(MQTTError(error)) })
        }
    }

    private func opened(_ error: MQTTError?) {
        handle.didOpen()
        step(error.map { .failed($0) } ?? .opened)
    }

    private func dropConnection() {
        maintenanceTimer?.cancel()
        maintenanceTimer = nil
        socket.close()
        // A node of a cluster may end connections for as long as it is not through with the loss of another one.
        let patience = Self.longestPatience * nodes.count
        let (endings, refused) = subscriptions.connectionLost(attempts: patience)
        for ending in endings { ending.finish() }
        for entry in refused {
            let error = errors.lostWheneverAsked("subscribe to \(entry.filter)", patience)
            entry.answer(error)
            entry.finish(error)
        }
        loseUnwritten()
        trial.lost(attempts: patience, now: .now)
        states.refusedPacket = trial.refused
    }

    private func resume() {
        handle.listenToLog(false)
        if hasConnectedBefore { statistics.withLock { $0.reconnects += 1 } }
        hasConnectedBefore = true
        trial.connected(now: .now)
        scheduleMaintenance()
        for entry in subscriptions.entries { sendSubscribe(entry) }
        flushWaiting()
    }

    private func scheduleMaintenance() {
        maintenanceTimer = scheduler(.seconds(1)) { [weak self] in
            guard let self, isUp else { return }
            trial.lasts(now: .now)
            states.refusedPacket = trial.refused
            let result = handle.maintain()
            if result != MOSQ_ERR_SUCCESS.int { lost(result) } else { scheduleMaintenance() }
        }
    }

    private func drain() {
        // Nothing more is taken, so those that wait for room would wait in vain.
        budget.close(errors.closed)
        timer = scheduler(closeTimeout) { [weak self] in self?.step(.drained) }
        checkDrained()
    }

    private func checkDrained() {
        guard machine.state == .draining, outgoing.isEmpty, !handle.wantsToWrite else { return }
        step(.drained)
    }

    private func finish() {
        timer?.cancel()
        timer = nil
        forgetOutgoing(errors.closed)
        let (entries, endings) = subscriptions.takeAll()
        for entry in entries {
            entry.answer(errors.closed)
            entry.finish(nil)
        }
        for ending in endings { ending.finish() }
        completeClose()
        loop.setSource(nil)
    }

    private func completeClose() {
        let completions = closeCompletions
        closeCompletions.removeAll()
        for completion in completions { completion() }
    }

    private func report(_ state: MQTTConnectionState) {
        if case .closed = state { budget.close(errors.closed) }
        states.report(state)
    }

    // MARK: The socket

    func willSleep() {
        assertOnLoop()
        guard isUp else { return }
        socket.watch()
        if machine.state == .draining { checkDrained() }
    }

    func socketReady(_ events: UInt32) {
        assertOnLoop()
        guard isUp else { return }
        let result = socket.ready(events) { isUp }
        if result != MOSQ_ERR_SUCCESS.int { lost(result) }
    }

    /// A consumer made room.
    func roomIsBack() {
        assertOnLoop()
        socket.roomIsBack()
    }

    /// A call said that the connection is gone.
    func lost(_ result: Int32) {
        let systemError = errno
        assertOnLoop()
        var error = lossReason
        let isUnanswered = error == nil && result == MOSQ_ERR_CONN_LOST.int
        if isUnanswered, case .handshaking = machine.state { error = errors.endedBeforeAnswer(result) }
        lossReason = nil
        // Brokers that do not know MQTT 5 say so, in the one way or the other, or just end the connection.
        let isVersionRefused = [1, 0x84].contains(error?.rawCode) && error?.code == .refused || isUnanswered
        if mayTryOlderVersion, isVersionRefused {
            return useOlderVersion()
        }
        step(
            .failed(
                error
                    ?? errors.lost(
                        result, wasConnected: machine.state == .connected, systemError: systemError,
                        detail: handle.lastComplaint)))
    }

    // MARK: Callbacks, made inside a call of ours, with libmosquitto's lock held

    func onConnect(_ code: Int32, _ limits: MQTTBrokerLimits) {
        assertOnLoop()
        if code == 0 {
            states.limits = limits
            loop.submit(.work { [self] in step(.accepted) })
        } else {
            lossReason = errors.refused(code, isV5: isV5)
        }
    }

    func onDisconnect(_ code: Int32) {
        assertOnLoop()
        guard code != 0, lossReason == nil else { return }
        // Reason codes of the broker's DISCONNECT start at 0x80; below are libmosquitto's own results, which the call returns.
        guard code >= 0x80 else { return }
        lossReason = errors.ended(code)
    }
}
