/// The subscriptions of a connection: their filters and identifiers, who waits for the broker's word, and which messages are
/// whose. No I/O: what is to be told is returned, and told by the caller.
struct SubscriptionTable {
    typealias Completion = @Sendable (MQTTError?) -> Void

    /// One filter, which the broker knows once however many consumers it has here.
    final class Entry {
        let filter: String
        /// The filter without `$share/GROUP/`.
        let topicFilter: String
        /// What messages for this subscription carry on MQTT 5; 0 for none.
        let identifier: UInt32
        fileprivate(set) var options: MQTTSubscribeOptions
        fileprivate(set) var buffers: [MessageBuffer] = []
        /// How often the connection was lost before the broker had answered.
        fileprivate var losses = 0
        /// They hear the broker's answer, each for its consumer.
        fileprivate var waiters: [(buffer: MessageBuffer, completion: Completion)] = []

        fileprivate init(filter: String, identifier: UInt32, options: MQTTSubscribeOptions) {
            self.filter = filter
            topicFilter = Self.withoutGroup(filter)
            self.identifier = identifier
            self.options = options
        }

        private static func withoutGroup(_ filter: String) -> String {
            guard filter.hasPrefix("$share/") else { return filter }
            let rest = filter.dropFirst("$share/".count)
            return rest.firstIndex(of: "/").map { String(rest[rest.index(after: $0)...]) } ?? String(rest)
        }

        /// Whether a message that carries no identifier may be for this subscription.
        func takes(unidentified topic: String, isV5: Bool) -> Bool {
            (!isV5 || identifier == 0) && TopicFilter.matches(topicFilter, topic)
        }

        /// Tells those that wait for the broker's answer, each once.
        func answer(_ error: MQTTError?) {
            let waiters = waiters
            self.waiters = []
            for waiter in waiters { waiter.completion(error) }
        }

        /// Tells the one that waits for a consumer, if the broker has not answered yet.
        func answer(_ error: MQTTError?, to buffer: MessageBuffer) {
            guard let index = waiters.firstIndex(where: { $0.buffer === buffer }) else { return }
            waiters.remove(at: index).completion(error)
        }

        /// Ends all sequences.
        func finish(_ error: MQTTError?) {
            for buffer in buffers { buffer.finish(error) }
        }
    }

    /// A subscription that ends as soon as the broker has acknowledged that.
    struct Ending {
        fileprivate let entry: Entry
        /// Nil where its consumer has other filters that end after it.
        fileprivate let completion: (@Sendable () -> Void)?

        /// Ends all sequences, and tells whoever waits for the end.
        func finish() {
            guard let completion else { return }
            entry.finish(nil)
            completion()
        }
    }

    private(set) var entries: [Entry] = []
    private var nextIdentifier: UInt32 = 1
    /// By the numbers of SUBSCRIBE packets without an answer.
    private var subscribing: [Int32: Entry] = [:]
    /// By the numbers of UNSUBSCRIBE packets without an answer.
    private var unsubscribing: [Int32: Ending] = [:]

    // MARK: Subscribing

    /// Adds a consumer, to the subscription of this filter where there is one.
    mutating func add(
        _ filter: String, _ options: MQTTSubscribeOptions, _ buffer: MessageBuffer, _ completion: @escaping Completion
    ) -> Entry {
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
        entry.waiters.append((buffer, completion))
        return entry
    }

    /// The broker was asked for a subscription.
    mutating func asked(_ number: Int32, for entry: Entry) { subscribing[number] = entry }

    /// The broker answered SUBSCRIBE. A subscription that it refused is forgotten.
    mutating func answered(_ number: Int32, isGranted: Bool) -> Entry? {
        guard let entry = subscribing.removeValue(forKey: number) else { return nil }
        entry.losses = 0
        if !isGranted { forget(entry) }
        return entry
    }

    mutating func forget(_ entry: Entry) { entries.removeAll { $0 === entry } }

    // MARK: Ending

    /// The subscriptions that a consumer has, in the order in which they were made.
    func entries(of buffer: MessageBuffer) -> [Entry] {
        entries.filter { $0.buffers.contains { $0 === buffer } }
    }

    /// The broker was asked to end a subscription.
    ///
    /// - Parameter completion: nil where others of its consumer end after it.
    mutating func asked(_ number: Int32, toEnd entry: Entry, _ completion: (@Sendable () -> Void)?) {
        unsubscribing[number] = Ending(entry: entry, completion: completion)
    }

    /// The broker answered UNSUBSCRIBE, or did not in time.
    ///
    /// - Parameter buffer: where it is given, only the end of its subscription counts: the number may be another's by now.
    mutating func ended(_ number: Int32, of buffer: MessageBuffer? = nil) -> Ending? {
        guard let ending = unsubscribing[number],
            buffer.map({ buffer in ending.entry.buffers.contains { $0 === buffer } }) ?? true
        else { return nil }
        unsubscribing[number] = nil
        forget(ending.entry)
        return ending
    }

    /// Takes a consumer away.
    ///
    /// - Parameter filter: of this subscription only; nil for all that it has.
    /// - Returns: its subscriptions that have no other: the broker is to be told.
    mutating func remove(_ buffer: MessageBuffer, from filter: String? = nil) -> [Entry] {
        entries(of: buffer).filter { entry in
            guard filter == nil || filter == entry.filter else { return false }
            entry.buffers.removeAll { $0 === buffer }
            if entry.buffers.isEmpty { forget(entry) }
            return entry.buffers.isEmpty
        }
    }

    // MARK: The end of a connection

    /// The broker's answers will not come any more. Subscriptions are asked for again with the next connection, but for those
    /// that were to end, and those that were without an answer through so many connections: both are returned.
    mutating func connectionLost(attempts: Int) -> (endings: [Ending], refused: [Entry]) {
        let unanswered = Array(subscribing.values)
        subscribing.removeAll(keepingCapacity: true)
        for entry in unanswered { entry.losses += 1 }
        let refused = unanswered.filter { $0.losses >= attempts }
        for entry in refused { forget(entry) }
        let endings = unsubscribing.sorted { $0.key < $1.key }.map(\.value)
        unsubscribing.removeAll()
        for ending in endings { forget(ending.entry) }
        return (endings, refused)
    }

    /// Takes everything, for the last time.
    mutating func takeAll() -> (entries: [Entry], endings: [Ending]) {
        defer { entries.removeAll() }
        return (entries, connectionLost(attempts: .max).endings)
    }

    // MARK: Messages

    /// The subscription with an identifier.
    func entry(identifier: UInt32) -> Entry? { entries.first { $0.identifier == identifier } }

    /// The only subscription that there ever was: no message can be another's.
    var only: Entry? { nextIdentifier == 1 && entries.count == 1 ? entries[0] : nil }
}
