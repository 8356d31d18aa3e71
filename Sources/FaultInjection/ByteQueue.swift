/// Bytes that come in at the end and go at the front.
struct ByteQueue: Sendable {
    private var storage: [UInt8] = []
    private var head = 0

    var count: Int { storage.count - head }
    var isEmpty: Bool { head == storage.count }
    var first: UInt8? { isEmpty ? nil : storage[head] }

    subscript(index: Int) -> UInt8 { storage[head + index] }

    mutating func append(_ bytes: UnsafeRawBufferPointer) { storage.append(contentsOf: bytes) }

    mutating func append(_ bytes: [UInt8]) { storage.append(contentsOf: bytes) }

    mutating func take(_ count: Int) -> [UInt8] {
        let bytes = Array(storage[head..<head + count])
        removeFirst(count)
        return bytes
    }

    mutating func removeFirst(_ count: Int) {
        head += count
        if head == storage.count {
            // A large message does not keep its memory for the rest of the connection.
            storage.removeAll(keepingCapacity: storage.capacity <= 1 << 20)
            head = 0
        } else if head > storage.count / 2, head > 1 << 16 {
            storage.removeSubrange(..<head)
            head = 0
        }
    }

    /// Gives `body` at most `limit` bytes from the front and takes away as many as it returns.
    mutating func consume(_ limit: Int, _ body: (UnsafeRawBufferPointer) -> Int) -> Int {
        let taken = storage.withUnsafeBytes { bytes in
            body(UnsafeRawBufferPointer(rebasing: bytes[head..<head + min(limit, count)]))
        }
        if taken > 0 { removeFirst(taken) }
        return taken
    }
}
