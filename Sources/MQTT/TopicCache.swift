import Glibc

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
        // The long topics of an untrusted client are not worth keeping.
        if string.utf8.count <= 256 { slots[slot] = string }
        return string
    }
}
