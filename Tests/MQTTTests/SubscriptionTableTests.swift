import Synchronization
import Testing

@testable import MQTT

@Suite struct SubscriptionTableTests {
    private final class Answers: Sendable {
        let errors = Mutex<[MQTTError?]>([])
        var completion: SubscriptionTable.Completion { { [self] error in errors.withLock { $0.append(error) } } }
        var count: Int { errors.withLock(\.count) }
    }

    static let refused = MQTTError(.notAuthorized, "no")

    private let answers = Answers()

    func isEnded(_ ending: SubscriptionTable.Ending?) -> Bool { if case .some = ending { true } else { false } }

    func buffer() -> MessageBuffer { MessageBuffer(policy: MQTTBufferPolicy()) {} }

    func filters(_ table: SubscriptionTable, _ topic: String, isV5: Bool = true) -> [String] {
        if let only = table.only { return [only.filter] }
        return table.entries.filter { $0.takes(unidentified: topic, isV5: isV5) }.map(\.filter)
    }

    @discardableResult
    private func add(
        _ table: inout SubscriptionTable, _ filter: String, _ buffer: MessageBuffer? = nil
    ) -> SubscriptionTable.Entry {
        table.add(filter, MQTTSubscribeOptions(), buffer ?? self.buffer(), answers.completion)
    }

    @Test("The first subscription has no identifier, the later ones have one each, and one filter is one subscription")
    func identifiers() {
        var table = SubscriptionTable()
        #expect(add(&table, "a").identifier == 0)
        #expect(add(&table, "b").identifier == 1)
        #expect(add(&table, "c").identifier == 2)
        #expect(add(&table, "b").identifier == 1)
        #expect(table.entries.map(\.filter) == ["a", "b", "c"] && table.entries[1].buffers.count == 2)
        #expect(table.entry(identifier: 2)?.filter == "c" && table.entry(identifier: 3) == nil)
    }

    @Test("A second subscription to a filter brings its options")
    func options() {
        var table = SubscriptionTable()
        let entry = add(&table, "a")
        _ = table.add("a", MQTTSubscribeOptions(qos: .atLeastOnce), buffer(), answers.completion)
        #expect(entry.options.qos == .atLeastOnce)
    }

    @Test("A client's only subscription gets every message, however it is matched")
    func onlyOne() {
        var table = SubscriptionTable()
        add(&table, "a")
        #expect(filters(table, "anything") == ["a"])
        #expect(filters(table, "anything", isV5: false) == ["a"])
    }

    @Test("With several, a message without an identifier goes where its topic belongs")
    func matching() {
        var table = SubscriptionTable()
        add(&table, "a/+")
        add(&table, "a/#")
        add(&table, "$share/g/a/b")
        #expect(filters(table, "a/b") == ["a/+"], "the others have identifiers on MQTT 5")
        #expect(filters(table, "a/b", isV5: false) == ["a/+", "a/#", "$share/g/a/b"])
        #expect(filters(table, "a", isV5: false) == ["a/#"])
        #expect(filters(table, "c").isEmpty)
    }

    @Test("When one of two is left, a message of the other is not taken for its own")
    func lateMessage() {
        var table = SubscriptionTable()
        let second = buffer()
        add(&table, "a")
        add(&table, "b", second)
        #expect(table.remove(second).map(\.filter) == ["b"])
        #expect(filters(table, "b").isEmpty && filters(table, "a") == ["a"])
    }

    @Test("A consumer that gives up is told alone, and once")
    func givenUp() {
        var table = SubscriptionTable()
        let (one, other) = (buffer(), buffer())
        let entry = add(&table, "a", one)
        add(&table, "a", other)
        entry.answer(Self.refused, to: one)
        entry.answer(Self.refused, to: one)
        entry.answer(Self.refused, to: buffer())
        #expect(answers.errors.withLock { $0 } == [Self.refused])
        entry.answer(nil)
        #expect(answers.errors.withLock { $0 } == [Self.refused, nil])
    }

    @Test("An end whose time is over is not taken for another's with the same number")
    func endInTime() {
        var table = SubscriptionTable()
        let (one, other) = (buffer(), buffer())
        let entry = add(&table, "a", one)
        add(&table, "b", other)
        table.asked(7, toEnd: entry) {}
        #expect(!isEnded(table.ended(7, of: other)))
        #expect(isEnded(table.ended(7, of: one)) && !isEnded(table.ended(7, of: one)))
        #expect(table.entries.map(\.filter) == ["b"])
    }

    @Test("The broker's yes is told once to each that waits")
    func granted() throws {
        var table = SubscriptionTable()
        let entry = add(&table, "a")
        add(&table, "a")
        table.asked(1, for: entry)
        table.asked(2, for: entry)
        table.answered(1, isGranted: true)?.answer(nil)
        #expect(answers.count == 2)
        table.answered(2, isGranted: true)?.answer(nil)
        #expect(answers.count == 2 && table.entries.count == 1)
        #expect(table.answered(2, isGranted: true) == nil)
    }

    @Test("The broker's no ends the subscription, also when it is said twice")
    func notGranted() async {
        var table = SubscriptionTable()
        let consumer = buffer()
        let entry = add(&table, "a", consumer)
        table.asked(1, for: entry)
        table.asked(2, for: entry)
        for number in [1, 2] as [Int32] {
            let refused = table.answered(number, isGranted: false)
            refused?.answer(Self.refused)
            refused?.finish(Self.refused)
        }
        #expect(answers.errors.withLock { $0 } == [Self.refused])
        #expect(table.entries.isEmpty)
        await #expect(throws: Self.refused) { try await consumer.next(isolation: nil) }
    }

    @Test("A subscription is taken away with its last consumer")
    func removal() {
        var table = SubscriptionTable()
        let (first, second) = (buffer(), buffer())
        add(&table, "a", first)
        add(&table, "a", second)
        #expect(table.remove(first).isEmpty && table.entries.count == 1)
        #expect(table.remove(first).isEmpty && table.entries.count == 1)
        #expect(table.remove(second).map(\.filter) == ["a"])
        #expect(table.entries.isEmpty)
    }

    @Test("A consumer of several filters loses one, or all, and the others of its filters stay")
    func severalFilters() {
        var table = SubscriptionTable()
        let (first, second) = (buffer(), buffer())
        for filter in ["a", "b", "c"] { add(&table, filter, first) }
        add(&table, "b", second)
        #expect(table.entries(of: first).map(\.filter) == ["a", "b", "c"])
        #expect(table.remove(first, from: "a").map(\.filter) == ["a"])
        #expect(table.remove(first, from: "a").isEmpty && table.entries(of: first).map(\.filter) == ["b", "c"])
        #expect(table.remove(first).map(\.filter) == ["c"])
        #expect(table.entries.map(\.filter) == ["b"] && table.entries(of: second).count == 1)
    }

    @Test("A consumer of several filters ends with the last of them")
    func lastFilter() {
        var table = SubscriptionTable()
        let ended = Atomic<Int>(0)
        let consumer = buffer()
        table.asked(1, toEnd: add(&table, "a", consumer), nil)
        table.asked(2, toEnd: add(&table, "b", consumer)) { ended.add(1, ordering: .relaxed) }
        table.ended(1)?.finish()
        #expect(!consumer.isFinished && table.entries.map(\.filter) == ["b"])
        table.ended(2)?.finish()
        #expect(consumer.isFinished && ended.load(ordering: .relaxed) == 1 && table.entries.isEmpty)
    }

    @Test("A subscription that is ended stays until the broker has said so")
    func ending() {
        var table = SubscriptionTable()
        let ended = Atomic<Int>(0)
        let consumer = buffer()
        let entry = add(&table, "a", consumer)
        #expect(table.entries(of: consumer).map(\.filter) == ["a"])
        table.asked(9, toEnd: entry) { ended.add(1, ordering: .relaxed) }
        #expect(table.ended(8) == nil && filters(table, "a") == ["a"])
        table.ended(9)?.finish()
        #expect(consumer.isFinished && ended.load(ordering: .relaxed) == 1)
        #expect(table.entries.isEmpty && table.ended(9) == nil)
    }

    @Test("A lost connection keeps the subscriptions, but for those that were to end")
    func lostConnection() {
        var table = SubscriptionTable()
        let ended = Atomic<Int>(0)
        let kept = add(&table, "kept")
        let ending = add(&table, "ending")
        table.asked(1, for: kept)
        table.asked(2, toEnd: ending) { ended.add(1, ordering: .relaxed) }
        for ending in table.connectionLost(attempts: 2).endings { ending.finish() }
        #expect(table.entries.map(\.filter) == ["kept"])
        #expect(ended.load(ordering: .relaxed) == 1 && answers.count == 0)
        #expect(table.answered(1, isGranted: true) == nil, "that number belongs to the connection before")
        #expect(table.connectionLost(attempts: 2).endings.isEmpty)
    }

    @Test("A subscription for which the broker ends every connection is given up")
    func refusedByLoss() {
        var table = SubscriptionTable()
        let (good, bad) = (add(&table, "good"), add(&table, "$share/g/bad"))
        for number in 1...3 as ClosedRange<Int32> {
            table.asked(number, for: good)
            table.asked(10 + number, for: bad)
            _ = table.answered(number, isGranted: true)
            let refused = table.connectionLost(attempts: 3).refused
            #expect(refused.map(\.filter) == (number == 3 ? ["$share/g/bad"] : []))
        }
        #expect(table.entries.map(\.filter) == ["good"])
    }

    @Test("At the end everything is handed out once")
    func end() {
        var table = SubscriptionTable()
        add(&table, "a")
        let ending = add(&table, "b")
        table.asked(1, toEnd: ending) {}
        let (entries, endings) = table.takeAll()
        for entry in entries { entry.answer(nil) }
        #expect(entries.count == 2 && endings.count == 1 && answers.count == 2)
        #expect(table.entries.isEmpty && table.takeAll().entries.isEmpty)
    }
}
