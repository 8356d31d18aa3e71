import Glibc
package import LCPModels
import LCPWire
import MQTT
import Platform
package import Signals
import Synchronization

/// Reads a source of numbers, window after window, for the model that is known. It belongs to the sensor's thread.
package final class SignalFeed {
    package let source: SignalSource
    private var reader: SignalReader?
    private var shape = FeatureMapShape(features: 1)
    private var descriptor: Int32?
    private var isOver = false
    private var windows: UInt64 = 0
    /// Messages of a topic that wait.
    let messages = SignalInbox()
    private var waiting: AsyncStream<[UInt8]>.AsyncIterator
    /// What was left out, and what was told of it already.
    private(set) var dropped: [String: UInt64] = [:]
    private var told = 0
    private var hasToldOverflow = false
    /// Hears a sentence about the first of each kind that is left out.
    package var tell: ((String) -> Void)?
    /// When the last message came.
    private var arrival: ContinuousClock.Instant?
    private static let chunk = 1 << 16

    package init(_ source: SignalSource) {
        self.source = source
        waiting = messages.elements.makeAsyncIterator()
    }

    deinit { if let descriptor, descriptor != STDIN_FILENO { close(descriptor) } }

    /// Takes what is read for: at the start, and where the pipeline has another model.
    ///
    /// - Throws: ``PipelineError`` where the source cannot be that.
    package func adopt(_ signal: Signal, _ shape: FeatureMapShape) throws {
        guard reader?.signal != signal || shape != self.shape else { return }
        guard reader == nil || source.isLive else {
            throw PipelineError(.modelMismatch, "the pipeline has a model for other numbers: start this sensor anew")
        }
        do {
            keepCounts()
            reader = try SignalReader(
                source.format, signal: signal, width: shape.width, hop: source.hop, options: source.options)
            (self.shape, told) = (shape, 0)
            if case .file = source.origin { _ = try opened() }
        } catch let error as SignalError {
            throw PipelineError(.invalidConfiguration, "\(source.name): \(error)")
        }
    }

    private func keepCounts() { dropped.merge(reader?.dropped ?? [:]) { $0 + $1 } }

    /// Everything that was left out so far.
    var allDropped: [String: UInt64] {
        var result = dropped.merging(reader?.dropped ?? [:]) { $0 + $1 }
        if messages.droppedCount > 0 { result["inbox_full"] = messages.droppedCount }
        return result
    }

    /// Tells what was left out and was not told yet.
    private func tellNews() {
        let all = reader?.complaints ?? []
        for sentence in all.dropFirst(told) { tell?("left out: \(sentence)") }
        told = all.count
    }

    private func tellOverflow() {
        guard !hasToldOverflow, messages.droppedCount > 0 else { return }
        hasToldOverflow = true
        tell?("messages come faster than they are read: some are lost (inbox_full)")
    }

    /// The next window; nil at the end, and where the task is cancelled.
    ///
    /// - Throws: ``PipelineError`` where nothing more can be read.
    package func next(isolation: isolated (any Actor)? = #isolation) async throws -> SignalReader.Window? {
        while !Task.isCancelled {
            do {
                let window = try reader?.next(isEnd: isOver)
                tellNews()
                if let window {
                    windows += 1
                    return window
                }
            } catch { throw PipelineError(.unreadableInput, "\(source.name): \(error)") }
            guard !isOver else { break }
            if case .topic = source.origin {
                guard let message = await nextMessage() else { return nil }
                lookForGap()
                reader?.add(message: message)
            } else {
                try readMore()
                // Others on this thread have their turn.
                await Task.yield()
            }
            tellOverflow()
        }
        if !Task.isCancelled, windows == 0 {
            let why = reader?.complaints.first.map { ": \($0)" } ?? ", which has fewer samples"
            throw PipelineError(.unreadableInput, "not one window of \(shape) came of \(source.name)\(why)")
        }
        return nil
    }

    /// Without a time in the records the time at which they come tells what is missing.
    private func lookForGap() {
        guard let longest = source.options.gap, source.options.time == nil else { return }
        let now = ContinuousClock.now
        if let last = arrival, now - last > .seconds(longest) {
            if dropped["gap"] == nil {
                tell?("left out: no record came for \(longest) seconds: the window begins anew")
            }
            dropped["gap", default: 0] += 1
            reader?.breakWindow()
        }
        arrival = now
    }

    private func nextMessage(isolation: isolated (any Actor)? = #isolation) async -> [UInt8]? {
        let message = await waiting.next(isolation: isolation)
        messages.took(message)
        return message
    }

    /// Waits for bytes; returns also when none came for a while.
    private func readMore() throws {
        let file = try opened()
        var bytes = [UInt8](repeating: 0, count: Self.chunk)
        var state = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
        let ready = poll(&state, 1, 100)
        if ready == 0 || ready < 0 && errno == EINTR { return }
        let count = read(file, &bytes, bytes.count)
        if count < 0, errno == EINTR { return }
        guard count >= 0 else {
            throw PipelineError(
                .unreadableInput, "cannot read \(source.name): \(String(cString: strerror(errno)))")
        }
        if count == 0 { isOver = true } else { reader?.add(bytes[..<count]) }
    }

    private func opened() throws -> Int32 {
        if let descriptor { return descriptor }
        guard case .file(let path) = source.origin else {
            descriptor = STDIN_FILENO
            return STDIN_FILENO
        }
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw PipelineError(.unreadableInput, "cannot read \(path): \(String(cString: strerror(errno)))")
        }
        descriptor = file
        return file
    }
}

/// Messages that wait for a feed: bounded in their number and their bytes.
final class SignalInbox: Sendable {
    private let inbox = Inbox<[UInt8]>(limit: 65_536)
    private let bytes = Atomic<Int>(0)
    private let refused = Atomic<UInt64>(0)
    static let mostBytes = 16 << 20

    /// For one consumer.
    var elements: AsyncStream<[UInt8]> { inbox.elements }
    var droppedCount: UInt64 { inbox.droppedCount + refused.load(ordering: .relaxed) }

    /// Called on any thread; never waits.
    func put(_ message: [UInt8]) {
        guard bytes.load(ordering: .relaxed) + message.count <= Self.mostBytes else {
            refused.wrappingAdd(1, ordering: .relaxed)
            return
        }
        bytes.wrappingAdd(message.count, ordering: .relaxed)
        took(inbox.put(message))
    }

    /// A message does not wait any more.
    func took(_ message: [UInt8]?) { bytes.wrappingSubtract(message?.count ?? 0, ordering: .relaxed) }
}
