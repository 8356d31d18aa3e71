import Images
import LCPDatasets
public import LCPModels
public import LCPPipeline
import LCPWire
import MQTT
import Platform
import Synchronization
import Tensors

/// Publishes frames as tensor messages, at a steady rate.
public actor Sensor {
    /// How a sensor is set up.
    public struct Options: Sendable {
        /// The sensor's name, and the last level of its topics; one of the machine's where nil (``DefaultName``).
        public var id: String?
        /// Frames per second.
        public var rate = 10.0
        /// Ends after so many frames; nil for the source's end.
        public var count: Int?
        /// The shape of frames from a folder or standard input; nil for that of the model.
        public var shape: FeatureMapShape?
        /// The model, where it is known; nil to ask the pipeline. Frames get its shape, and the truth of a frame is told where the
        /// source has a class with the name of one of its labels.
        public var model: ModelManifest?
        /// How pixels are written; nil for what is best: see ``FramePlan``.
        public var encoding: FrameEncoding?
        /// The part of a camera's picture that becomes the frame; nil for all of it.
        public var region: CameraRegion?
        /// Frames are sent that differ from the one before by so many percent, see ``ChangeGate``; nil for all of them.
        public var leastChange: Double?
        /// How long frames wait after a reconnect for a pipeline that is not whole.
        package var longestHold = Outbox.defaultLongestHold

        public init() {}
    }

    public nonisolated let session: RoleSession
    private nonisolated let executor: EventLoop
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    let options: Options
    var reader: FrameReader
    /// Where frames come from, if that is a camera.
    private let camera: Camera?
    /// Where frames come from, if that is a folder that others put pictures into.
    private let folder: FolderWatcher?
    /// Where frames come from, if these are numbers.
    let feed: SignalFeed?
    private var gate: ChangeGate?
    var plan: FramePlan
    /// The pipeline's model, where nobody named one.
    var supply: ModelSupply?
    let number = UInt64.random(in: 1...UInt64.max)
    var dealer: FrameDealer
    private var frames: UInt64 = 0
    /// Frames that were sent again because a branch was late.
    private var repeats: UInt64 = 0
    private var drops = Drops()
    /// Pictures of the source that were left out.
    private var unreadable: UInt64 = 0
    /// What was odd about pictures so far.
    private var noted: Set<ImageNotes> = []
    /// What was wrong with the first of them.
    private var complaint = ""
    /// Why the broker takes no frame of that size.
    private var refusal = ""
    /// The frames without an answer, where answers are promised.
    var outbox: Outbox?
    /// Whether the outbox is ahead of what the source gives.
    var isCatchingUp = false
    /// When somebody for all branches was seen last.
    var lastWhole = ContinuousClock.now
    /// Kept by the client's thread.
    nonisolated let presence = Mutex(Presence())
    /// Whether ``Event/presence`` is on its way.
    nonisolated let hasNewPresence = Atomic<Bool>(false)
    /// The plan that was heard last.
    nonisolated let keptPlan = Mutex<FlowPlan?>(nil)
    var subscriptions: [MQTTSubscription] = []
    /// What the client's thread heard, for this actor.
    nonisolated let inbox = Inbox<Event>(limit: 1024)

    /// What becomes of the frames, and of those who compute them.
    enum Event {
        /// Somebody said who is there.
        case presence
        case offer
        /// Which frames are computed, and by whom.
        case plan(FlowPlan)
        /// A frame is asked for again.
        case again(RepeatRequest)
        case answer(frame: UInt64, computeMilliseconds: Double)
        /// These were answered, and the answers did not come.
        case answeredBefore([UInt64])
    }

    /// What can be shown.
    nonisolated let recent = Mutex(RecentFrames())

    /// The aggregators as they were seen last, each with the sensors that it answers.
    var answerers: Set<[String]> = []
    /// Of the latest predictions, milliseconds.
    var computeTimes = Latest()

    /// Prepares the source; nothing is sent yet.
    ///
    /// - Throws: ``PipelineError`` or ``MQTTError``.
    public init(_ configuration: PipelineConfiguration, source: FrameSource, options: Options = Options()) throws {
        guard options.rate > 0, options.rate <= 100_000 else {
            throw PipelineError(
                .invalidConfiguration,
                "a rate has more than 0 and at most 100,000 frames per second, not \(options.rate)")
        }
        guard options.count.map({ $0 > 0 }) ?? true else {
            throw PipelineError(.invalidConfiguration, "a sensor sends at least one frame")
        }
        if options.region != nil {
            guard case .camera = source else {
                throw PipelineError(
                    .invalidConfiguration, "a region is a part of a camera's or a video's picture, and of nothing else")
            }
        }
        if case .signal = source,
            options.leastChange != nil || options.shape != nil || ![nil, .raw].contains(options.encoding)
        {
            throw PipelineError(
                .invalidConfiguration,
                "--on-change, --shape and --encoding are for pictures, and the source has numbers")
        }
        if let model = options.model, options.shape == nil { try source.check(fits: model) }
        self.options = options
        feed = if case .signal(let signal) = source { SignalFeed(signal) } else { nil }
        plan = FramePlan(Self.sizing(source, options.shape), wanted: options.encoding, isSignal: feed != nil)
        reader = FrameReader(source, shape: plan.shape)
        var status = RoleSession.status(.sensor, id: options.id)
        status.dealsFrames = true
        session = try RoleSession(configuration, status: status)
        gate = options.leastChange.map(ChangeGate.init)
        camera =
            if case .camera(let address) = source {
                try Camera(address, rate: options.rate, region: options.region, log: session.log)
            } else {
                nil
            }
        folder = if case .watched(let path) = source { try FolderWatcher(path) } else { nil }
        dealer = FrameDealer(sensor: status.id, session: number, topics: session.topics)
        // Reading a file or standard input may block, and the connection must not wait for that.
        executor = try EventLoop(name: "sensor")
    }

    /// What a source says about its frames' shape.
    private static func sizing(_ source: FrameSource, _ given: FeatureMapShape?) -> FramePlan.Sizing {
        if let shape = source.shape ?? given { return .fixed(shape) }
        return .pictures(FeatureMapShape(height: 28, width: 28, channels: 1))
    }

    /// Publishes until the source ends, the count is reached or the task is cancelled.
    ///
    /// - Returns: the number of frames that were published, however often.
    /// - Throws: ``MQTTError``, ``PipelineError`` or ``DatasetError``.
    @discardableResult
    public func run() async throws -> UInt64 {
        try await session.run(reconnected: { [weak self] in await self?.reconnected() }) { try await publishFrames() }
        let open = outbox.map { UInt64($0.count) + $0.unanswered + $0.overflows } ?? 0
        let counts = feed?.allDropped ?? [:]
        if !counts.isEmpty {
            let words = counts.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }
            session.log("left out: \(words.joined(separator: ", "))")
        }
        if let held = gate?.held, held > 0 { session.log("left out \(held) frames that did not change") }
        if Task.isCancelled, open > 0 { session.log("\(open) frames had no answer when it was asked to stop") }
        return frames
    }

    var source: FrameSource { reader.source }

    private func publishFrames() async throws {
        defer { inbox.close() }
        if session.qos != .atMostOnce { try await promiseAnswers() }
        try await meetPipeline()
        Task { await listen() }
        try await startSignal()
        try await session.ready()
        try await meetSignal()
        session.log(
            "ready: publishes on \(dealer.topic(of: 0)), \(plan.shape) as \(plan.encoding) "
                + "(\(plan.decision.reason))")
        let interval = Duration.seconds(1 / options.rate)
        let clock = ContinuousClock()
        var due = clock.now
        // Also while no frame comes, since all that does is left out.
        let statistics = Task { [started = clock.now] in
            while !Task.isCancelled {
                try await ContinuousClock().sleep(for: .seconds(5))
                publishStatistics(since: started)
            }
        }
        defer { statistics.cancel() }
        var number: UInt64 = 0
        while !Task.isCancelled, options.count.map({ number < UInt64($0) }) ?? true, let frame = try await nextFrame() {
            // Those of a camera come when they are there.
            if due > clock.now, !isLive { try await clock.sleep(until: due) }
            if gate?.passes(frame) != false {
                publish(frame, number: number)
                // Beside new frames only a part of the old, so that what is shed is not asked for all the time.
                if number % 4 == 0 { sendOverdue(most: 1) }
                number += 1
            }
            due += interval
            // After a pause, as on a laptop that slept, nobody wants the missed frames in one burst.
            if clock.now - due > .seconds(1) { due = clock.now }
        }
        // The last frames may be asked for again.
        if outbox == nil, dealer.keepsFrames, !Task.isCancelled {
            try await clock.sleep(for: min(session.deadline, .seconds(1)))
        }
        // What was published while the connection was lost is still to be sent, and what has no answer is waited for.
        while !Task.isCancelled, (outbox?.count ?? 0) > 0 {
            sendOverdue(most: .max)
            pump()
            try await clock.sleep(for: .milliseconds(5))
        }
        if let outbox, outbox.unanswered + outbox.overflows > 0, !Task.isCancelled {
            let lost = outbox.unanswered + outbox.overflows
            throw PipelineError(
                .timedOut,
                "\(lost) of \(number) frames were never answered: look with lcp status who is missing or overloaded")
        }
        if let refused = drops.counts["too_large"], !Task.isCancelled {
            throw PipelineError(
                .invalidConfiguration,
                "\(refused) of \(number) frames were not sent: \(refusal), or give --encoding jpeg:80")
        }
        if unreadable > 0, !Task.isCancelled {
            let first = "\(complaint)\(unreadable > 1 ? ", and \(unreadable - 1) more" : "")"
            throw PipelineError(
                .unreadableInput,
                number > 0
                    ? "\(unreadable) of \(number + unreadable) pictures could not be read, the others were sent: \(first)"
                    : "no picture could be read: \(first)")
        }
    }

    /// Whether frames come when they are there.
    private var isLive: Bool { camera?.address.isLive ?? feed?.source.isLive ?? false }

    /// The next frame; pictures that cannot be read are told and left out.
    private func nextFrame() async throws -> SensorFrame? {
        if feed != nil { return try await nextWindow() }
        if let camera {
            return try await camera.next(size: { reader.size }).map {
                let shape = FeatureMapShape(height: $0.size.height, width: $0.size.width, channels: $0.size.channels)
                return SensorFrame(pixels: $0.pixels, label: -1, shape: shape)
            }
        }
        while !Task.isCancelled {
            do {
                let frame: SensorFrame?
                if let folder {
                    guard let file = try await folder.next() else { return nil }
                    frame = try reader.read(file)
                } else {
                    frame = try reader.read()
                }
                for note in ImageNotes.all where frame?.notes.contains(note) == true {
                    // The first of each kind.
                    guard noted.insert(note).inserted else { continue }
                    session.log("a picture is \(note.words(background: reader.preprocessing?.background ?? 255))")
                }
                return frame
            } catch let error as DatasetError {
                if unreadable == 0 { complaint = error.description }
                unreadable += 1
                session.log("left out: \(error)")
            }
        }
        return nil
    }

    private var dropped: [String: UInt64] {
        var counts = drops.counts.merging(camera?.damaged.counts ?? [:]) { $0 + $1 }
        counts.merge(feed?.allDropped ?? [:]) { $0 + $1 }
        if unreadable > 0 { counts["unreadable"] = unreadable }
        if let overflows = outbox?.overflows, overflows > 0 { counts["buffer_full", default: 0] += overflows }
        if inbox.droppedCount > 0 { counts["inbox_full"] = inbox.droppedCount }
        return counts
    }

    private func publishStatistics(since started: ContinuousClock.Instant) {
        let uptime = (ContinuousClock.now - started).milliseconds / 1000
        var statistics = RoleStatistics(uptime: uptime, frames: frames, dropped: dropped)
        if repeats > 0 { statistics.warnings = ["sent_again": repeats] }
        session.publishStatistics(statistics.json)
    }

    private func publish(_ frame: SensorFrame, number: UInt64) {
        guard let message = message(frame, number: number) else { return }
        if outbox != nil {
            outbox?.add(number, message)
            if !session.client.isConnected { outbox?.hold() }
            return pump()
        }
        guard session.client.isConnected else {
            if let line = drops.add("not_connected", "dropped frame \(number): there is no connection") {
                session.log.warning(line)
            }
            return
        }
        send(message, number: number)
    }

    /// A frame as the message that carries it.
    private func message(_ frame: SensorFrame, number: UInt64) -> [UInt8]? {
        // A model that came since it was read may want another shape.
        let size = frame.shape
        guard let shape = Shape([size.height, size.width, size.channels]) else { return nil }
        var header = TensorMessageHeader(
            kind: .input, dtype: frame.isSignal ? .fp32 : .uint8, shape: shape, session: self.number, frame: number,
            captureTime: wallClockNanoseconds(), label: frame.label)
        guard plan.encoding != .raw else { return TensorMessage.encode(header, data: frame.pixels) }
        let begin = ContinuousClock.now
        let image = Image(height: size.height, width: size.width, channels: size.channels, pixels: frame.pixels)
        do throws(ImageError) {
            let data: [UInt8]
            switch plan.encoding {
            case .jpeg(let quality):
                data = try image.jpeg(quality: quality)
                header.version2 = .init(encoding: .jpeg)
            case .png, .raw:
                data = try image.png()
                header.version2 = .init(encoding: .png)
            }
            header.version2?.encodeTime = (.now - begin).headerMicroseconds
            // What waits for an answer may be sent again, later.
            if outbox == nil { header.version2?.sendTime = wallClockNanoseconds() }
            return TensorMessage.encode(header, data: data)
        } catch {
            if let line = drops.add("not_encoded", "dropped frame \(number): \(error)") { session.log.warning(line) }
            return nil
        }
    }

    /// - Parameter attempt: how often it was sent before.
    func send(_ message: [UInt8], number: UInt64, attempt: Int = 0) {
        if send(message, to: dealer.topic(of: number, attempt: attempt)) {
            if attempt == 0 { frames += 1 } else { repeats += 1 }
            dealer.sent(number, message)
            if attempt == 0 { recent.withLock { $0.add(number, message) } }
        }
    }

    /// - Returns: whether it is on its way.
    private func send(_ message: [UInt8], to topic: String) -> Bool {
        let failure = message.withUnsafeBytes { bytes -> MQTTError? in
            do throws(MQTTError) {
                try session.client.send(bytes, to: topic, qos: session.qos)
                return nil
            } catch {
                return error
            }
        }
        guard let failure else { return true }
        if failure.code == .tooLarge, refusal.isEmpty { refusal = failure.description }
        if let line = drops.add(failure.dropReason, "dropped a frame: \(failure)") { session.log.warning(line) }
        return false
    }

    /// A branch of a frame is late: another worker may still be in time.
    func sendAgain(_ request: RepeatRequest) {
        if let (topic, message) = dealer.repeat(request), send(message, to: topic) { repeats += 1 }
    }
}
