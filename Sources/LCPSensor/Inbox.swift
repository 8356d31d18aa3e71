import Synchronization

/// What handlers on a client's thread hand over to an actor: a bounded queue, so that it is dealt with in the order in which it
/// came, and needs no task for each message.
///
/// Where the actor is slower than what comes, the oldest go, and are counted: of what is said about one thing the newest counts.
final class Inbox<Element: Sendable>: Sendable {
    /// For one consumer. It ends after ``close()``, with what was put before.
    let elements: AsyncStream<Element>
    private let continuation: AsyncStream<Element>.Continuation
    private let dropped = Atomic<UInt64>(0)

    init(limit: Int) {
        (elements, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(limit))
    }

    var droppedCount: UInt64 { dropped.load(ordering: .relaxed) }

    /// Called on any thread; never waits.
    ///
    /// - Returns: what had to go for it.
    @discardableResult func put(_ element: Element) -> Element? {
        guard case .dropped(let oldest) = continuation.yield(element) else { return nil }
        dropped.add(1, ordering: .relaxed)
        return oldest
    }

    func close() { continuation.finish() }
}
