import Platform
/// Topic filters as MQTT defines them (MQTT 5.0, section 4.7).
public enum TopicFilter {
    /// Whether a topic is in a filter with `+` and `#`. Wildcards at the start do not reach topics that begin with `$`.
    public static func matches(_ filter: some StringProtocol, _ topic: some StringProtocol) -> Bool {
        if topic.utf8.first == UInt8(ascii: "$"), let first = filter.utf8.first,
            first == UInt8(ascii: "+") || first == UInt8(ascii: "#")
        {
            return false
        }
        var filter = filter.utf8.makeIterator()
        var topic = topic.utf8.makeIterator()
        let slash = UInt8(ascii: "/")
        var next = topic.next()
        while let character = filter.next() {
            switch character {
            case UInt8(ascii: "#"): return true
            case UInt8(ascii: "+"):
                while let current = next, current != slash { next = topic.next() }
            default:
                guard let current = next else {
                    // "a/#" also matches "a".
                    return character == slash && filter.next() == UInt8(ascii: "#")
                }
                guard current == character else { return false }
                next = topic.next()
            }
        }
        return next == nil
    }

    /// Whether `name` can be one level of a topic: not empty, without `/`, `+`, `#`, control characters and U+0000, at most
    /// 128 bytes.
    public static func isValidLevel(_ name: some StringProtocol) -> Bool {
        name.isTopicLevel
    }
}
