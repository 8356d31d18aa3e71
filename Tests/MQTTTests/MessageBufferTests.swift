import Platform
import Synchronization
import Testing

@testable import MQTT

@Suite struct MessageBufferTests {
    func message(_ number: Int, bytes: Int = 1) -> MQTTMessage {
        MQTTMessage(topic: "t/\(number)", payload: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes))
    }

    @Test func theOldestIsDroppedAndCounted() async throws {
        let buffer = MessageBuffer(policy: .init(maximumMessages: 3, overflow: .dropOldest)) {}
        for number in 0..<10 { #expect(buffer.deliver(message(number), mayStopReading: true) == .accepted) }
        #expect(buffer.droppedCount == 7)
        buffer.finish(nil)
        var topics: [String] = []
        while let next = try await buffer.next(isolation: nil) { topics.append(next.topic) }
        #expect(topics == ["t/7", "t/8", "t/9"])
    }

    @Test func theNewestIsRefusedWhereThatIsWanted() async throws {
        let buffer = MessageBuffer(policy: .init(maximumMessages: 3, maximumBytes: 100, overflow: .dropNewest)) {}
        for number in 0..<10 { #expect(buffer.deliver(message(number), mayStopReading: true) == .accepted) }
        #expect(buffer.droppedCount == 7)
        _ = try await buffer.next(isolation: nil)
        #expect(buffer.deliver(message(10, bytes: 200), mayStopReading: true) == .accepted)
        buffer.finish(nil)
        var topics: [String] = []
        while let next = try await buffer.next(isolation: nil) { topics.append(next.topic) }
        #expect(topics == ["t/1", "t/2"])
        #expect(buffer.droppedCount == 8)
    }

    @Test func theNewestOfEveryTopicTakesTheOldOnesPlace() async throws {
        let buffer = MessageBuffer(policy: .init(maximumMessages: 3, keepsNewestOfTopic: true)) {}
        for number in [1, 2, 1, 3, 2, 1] { _ = buffer.deliver(message(number), mayStopReading: true) }
        _ = buffer.deliver(
            MQTTMessage(topic: "t/2", payload: [1, 2, 3, 4], qos: .atMostOnce), mayStopReading: true)
        #expect(buffer.droppedCount == 4)
        buffer.finish(nil)
        var messages: [MQTTMessage] = []
        while let next = try await buffer.next(isolation: nil) { messages.append(next) }
        #expect(messages.map(\.topic) == ["t/1", "t/2", "t/3"])
        #expect(messages[1].payload == [1, 2, 3, 4])
    }

    @Test func bytesAreBoundedToo() async throws {
        let buffer = MessageBuffer(policy: .init(maximumMessages: 100, maximumBytes: 1000, overflow: .dropOldest)) {}
        for number in 0..<10 { _ = buffer.deliver(message(number, bytes: 400), mayStopReading: true) }
        #expect(buffer.droppedCount == 8)
        // One message is held, however large it is.
        let large = MessageBuffer(policy: .init(maximumMessages: 100, maximumBytes: 10, overflow: .dropOldest)) {}
        _ = large.deliver(message(1, bytes: 5000), mayStopReading: true)
        #expect(try await large.next(isolation: nil)?.payload.count == 5000)
    }

    @Test func readingStopsWhenFullAndGoesOnWhenHalfIsTaken() async throws {
        let room = Atomic<Int>(0)
        let buffer = MessageBuffer(policy: .init(maximumMessages: 4, overflow: .stopReading)) {
            room.add(1, ordering: .relaxed)
        }
        for number in 0..<3 { #expect(buffer.deliver(message(number), mayStopReading: true) == .accepted) }
        #expect(buffer.deliver(message(3), mayStopReading: true) == .full)
        _ = try await buffer.next(isolation: nil)
        #expect(room.load(ordering: .relaxed) == 0)
        _ = try await buffer.next(isolation: nil)
        #expect(room.load(ordering: .relaxed) == 1)
        #expect(buffer.droppedCount == 0)
    }

    @Test func aPauseThatMustEndDropsTheOldest() {
        let buffer = MessageBuffer(policy: .init(maximumMessages: 2, overflow: .stopReading)) {}
        for number in 0..<5 { #expect(buffer.deliver(message(number), mayStopReading: false) == .accepted) }
        #expect(buffer.droppedCount == 3)
    }

    @Test func aWaitingConsumerGetsTheMessageAtOnce() async throws {
        let buffer = MessageBuffer(policy: MQTTBufferPolicy()) {}
        async let next = buffer.next(isolation: nil)
        _ = buffer.deliver(message(5), mayStopReading: true)
        #expect(try await next?.topic == "t/5")
    }

    @Test func cancellationEndsOneWaitAndNotTheBuffer() async throws {
        let buffer = MessageBuffer(policy: MQTTBufferPolicy()) {}
        for _ in 0..<200 {
            let waiting = Task { try await buffer.next(isolation: nil) }
            waiting.cancel()
            #expect(try await waiting.value == nil)
        }
        _ = buffer.deliver(message(1), mayStopReading: true)
        #expect(try await buffer.next(isolation: nil)?.topic == "t/1")
    }

    @Test func theEndComesAfterWhatIsHeld() async throws {
        let buffer = MessageBuffer(policy: MQTTBufferPolicy()) {}
        _ = buffer.deliver(message(1), mayStopReading: true)
        buffer.finish(MQTTError(.notAuthorized, "no"))
        #expect(try await buffer.next(isolation: nil)?.topic == "t/1")
        await #expect(throws: MQTTError.self) { try await buffer.next(isolation: nil) }
    }
}

@Suite struct EventLoopTests {
    actor Counter {
        nonisolated let loop: EventLoop
        nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
        var count = 0
        init(_ loop: EventLoop) { self.loop = loop }
        func add() {
            #expect(loop.isCurrent)
            count += 1
        }
    }

    @Test func anActorLivesOnTheLoopsThread() async throws {
        let counter = Counter(try EventLoop(name: "test"))
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<50 { group.addTask { for _ in 0..<100 { await counter.add() } } }
        }
        #expect(await counter.count == 5000)
        #expect(!counter.loop.isCurrent)
    }

    @Test func aTaskMayPreferTheLoop() async throws {
        let loop = try EventLoop(name: "test")
        let isThere = await Task(executorPreference: loop) { loop.isCurrent }.value
        #expect(isThere)
    }

    @Test func timersFireInTheirOrderAndCancelledOnesDoNot() async throws {
        let loop = try EventLoop(name: "test")
        let (stream, continuation) = AsyncStream.makeStream(of: Int.self)
        loop.schedule(after: .milliseconds(30)) {
            continuation.yield(2)
            continuation.finish()
        }
        loop.schedule(after: .milliseconds(5)) { continuation.yield(1) }
        loop.schedule(after: .milliseconds(10)) { continuation.yield(-1) }.cancel()
        var seen: [Int] = []
        for await value in stream { seen.append(value) }
        #expect(seen == [1, 2])
    }

    @Test func theThreadEndsWithItsLastReference() async throws {
        final class Token: Sendable {
            let onDeinit: @Sendable () -> Void
            init(_ onDeinit: @escaping @Sendable () -> Void) { self.onDeinit = onDeinit }
            deinit { onDeinit() }
        }
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        var loop: EventLoop? = try EventLoop(name: "test")
        let token = Token { continuation.finish() }
        loop?.schedule(after: .seconds(3600)) { _ = token }
        loop = nil
        _ = consume token
        // The timer, and with it the token, goes when the thread does.
        for await _ in stream {}
        #expect(loop == nil)
    }
}
