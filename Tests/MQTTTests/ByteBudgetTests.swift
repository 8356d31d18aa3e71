import Synchronization
import Testing

@testable import MQTT

/// What the waiters of a budget heard, in the order in which they heard it.
private final class Hearings: Sendable {
    private let entries = Mutex<[String]>([])

    var all: [String] { entries.withLock { $0 } }

    func callback(_ name: String) -> ByteBudget.Granted {
        { [self] error in
            let outcome =
                switch error {
                case nil: "granted"
                case is CancellationError: "cancelled"
                case let error as MQTTError: error.code.description
                default: "failed"
                }
            entries.withLock { $0.append("\(name) \(outcome)") }
        }
    }
}

@Suite struct ByteBudgetTests {
    static let closed = MQTTError(.closed, "closed")

    private let hearings = Hearings()

    @discardableResult
    private func wait(_ budget: ByteBudget, _ bytes: Int, _ name: String) -> ByteBudget.Ticket {
        let ticket = budget.queueUp(bytes)
        budget.wait(ticket, hearings.callback(name))
        return ticket
    }

    @Test("Bytes are reserved up to the limit, and a larger message passes alone")
    func limit() {
        let budget = ByteBudget(limit: 10)
        #expect(budget.reserve(7) && !budget.reserve(4) && budget.reserve(3))
        #expect(budget.reserved == 10)
        budget.release(10)
        #expect(budget.reserve(1000) && !budget.reserve(1))
        budget.release(1000)
        #expect(budget.reserved == 0)
    }

    @Test("Released bytes wake those that wait, in the order in which they came")
    func order() {
        let budget = ByteBudget(limit: 10)
        #expect(budget.reserve(10))
        for (name, bytes) in [("a", 4), ("b", 6), ("c", 5), ("d", 1)] { wait(budget, bytes, name) }
        #expect(hearings.all.isEmpty)
        budget.release(4)
        #expect(hearings.all == ["a granted"])
        budget.release(5)
        #expect(hearings.all == ["a granted"], "d would fit, but b and c came before it")
        budget.release(1)
        #expect(hearings.all == ["a granted", "b granted"])
        budget.release(6)
        #expect(hearings.all == ["a granted", "b granted", "c granted", "d granted"])
        #expect(budget.reserved == 10)
    }

    @Test("A waiter that is not ready yet keeps its place")
    func placeIsKept() {
        let budget = ByteBudget(limit: 10)
        #expect(budget.reserve(10))
        let first = budget.queueUp(4)
        wait(budget, 4, "second")
        budget.release(4)
        #expect(hearings.all.isEmpty)
        budget.wait(first, hearings.callback("first"))
        #expect(hearings.all == ["first granted"])
        budget.release(4)
        #expect(hearings.all == ["first granted", "second granted"])
    }

    @Test("Room that is released between the look and the wait is not missed")
    func releaseBeforeWait() {
        let budget = ByteBudget(limit: 10)
        #expect(budget.reserve(10))
        #expect(!budget.reserve(5))
        budget.release(10)
        wait(budget, 5, "late")
        #expect(hearings.all == ["late granted"])
        #expect(budget.reserve(5))
        let ticket = budget.queueUp(5)
        budget.release(10)
        budget.wait(ticket, hearings.callback("later"))
        #expect(hearings.all == ["late granted", "later granted"])
    }

    @Test("One that cancels leaves the queue, before it waits and while it does")
    func cancellation() {
        let budget = ByteBudget(limit: 10)
        #expect(budget.reserve(10))
        let early = budget.queueUp(5)
        budget.cancel(early)
        budget.wait(early, hearings.callback("early"))
        let waiting = wait(budget, 5, "waiting")
        wait(budget, 5, "other")
        budget.cancel(waiting)
        budget.cancel(waiting)
        budget.release(5)
        #expect(hearings.all == ["early cancelled", "waiting cancelled", "other granted"])
        budget.release(5)
        budget.release(5)
        #expect(budget.reserved == 0, "nothing is reserved for who left")
    }

    @Test("What waits behind one that cancels is looked at again")
    func cancellationMakesRoom() {
        let budget = ByteBudget(limit: 10)
        #expect(budget.reserve(5))
        let large = wait(budget, 8, "large")
        wait(budget, 4, "small")
        #expect(hearings.all.isEmpty)
        budget.cancel(large)
        #expect(hearings.all == ["large cancelled", "small granted"])
    }

    @Test("A close refuses all that wait, and those that come later")
    func close() {
        let budget = ByteBudget(limit: 10)
        #expect(budget.reserve(10))
        wait(budget, 1, "a")
        wait(budget, 1, "b")
        let unready = budget.queueUp(1)
        budget.close(Self.closed)
        #expect(hearings.all == ["a closed", "b closed"])
        budget.wait(unready, hearings.callback("unready"))
        wait(budget, 1, "late")
        #expect(hearings.all == ["a closed", "b closed", "unready closed", "late closed"])
        budget.release(10)
        #expect(budget.reserved == 0)
    }

    @Test("One that waits does not jump the queue though there is room for it")
    func noJumping() async throws {
        let budget = ByteBudget(limit: 10)
        #expect(budget.reserve(5))
        let large = wait(budget, 8, "large")
        // It can only return when the queue before it is gone, and then it is cancelled already.
        let small = Task { try await budget.waitForRoom(1) }
        small.cancel()
        await #expect(throws: CancellationError.self) { try await small.value }
        #expect(budget.reserved == 5 && hearings.all.isEmpty)
        budget.cancel(large)
    }

    @Test("A cancelled task, and one that waits while the client closes, get their errors")
    func tasks() async {
        let budget = ByteBudget(limit: 10)
        #expect(budget.reserve(10))
        let cancelled = Task { try await budget.waitForRoom(1) }
        let refused = Task { try await budget.waitForRoom(1) }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        budget.close(Self.closed)
        await #expect(throws: Self.closed) { try await refused.value }
    }

    @Test("Threads that wait, cancel and release at once all end, and nothing is left over", .timeLimit(.minutes(1)))
    func manyThreads() async {
        let budget = ByteBudget(limit: 8)
        let granted = await withTaskGroup(of: Int.self) { group in
            for task in 0..<8 {
                group.addTask {
                    var granted = 0
                    for round in 0..<500 {
                        let bytes = 1 + (task + round) % 8
                        let waiting = Task { try await budget.waitForRoom(bytes) }
                        if (task + round) % 5 == 0 { waiting.cancel() }
                        guard (try? await waiting.value) != nil else { continue }
                        granted += 1
                        budget.release(bytes)
                    }
                    return granted
                }
            }
            return await group.reduce(0, +)
        }
        #expect(budget.reserved == 0)
        #expect(granted >= 8 * 400)
    }
}
