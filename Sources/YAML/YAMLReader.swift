/// Reads a YAML text of one document into a tree.
///
/// Only what a settings file needs: mappings with plain keys, sequences and scalars. Anchors, aliases and tags are refused, so
/// that a text cannot grow while it is read; depth and size are bounded.
public struct YAMLReader {
    /// The most bytes of a text.
    public static let maximumSize = 65_536
    /// How deep values may lie in each other.
    public static let maximumDepth = 16
    /// The most values and keys.
    public static let maximumCount = 8192

    private let events: YAMLEvents
    private var count = 0

    /// Reads a text in UTF-8.
    ///
    /// - Returns: nil where there is nothing but comments.
    /// - Throws: ``YAMLError``.
    public static func read(_ bytes: [UInt8]) throws(YAMLError) -> YAMLNode? {
        guard bytes.count <= maximumSize else {
            throw YAMLError(
                YAMLMark(line: 1, column: 1), "it has \(bytes.count) bytes, more than the \(maximumSize) allowed")
        }
        var reader = YAMLReader(events: try YAMLEvents(bytes))
        var event = try reader.events.next()
        guard case .documentStart = event.kind else { return nil }
        event = try reader.events.next()
        let root = try reader.node(event, depth: 1)
        event = try reader.events.next()
        guard case .streamEnd = event.kind else {
            throw YAMLError(event.mark, "a second document begins here: a file has one, without --- between parts")
        }
        return root
    }

    private init(events: YAMLEvents) { self.events = events }

    private mutating func node(_ event: YAMLEvents.Event, depth: Int) throws(YAMLError) -> YAMLNode {
        try check(event)
        guard depth <= Self.maximumDepth else {
            throw YAMLError(event.mark, "values lie more than \(Self.maximumDepth) deep in each other")
        }
        switch event.kind {
        case .scalar(let text, let isPlain):
            return YAMLNode(content: .scalar(text, isPlain: isPlain), mark: event.mark)
        case .sequenceStart:
            var elements: [YAMLNode] = []
            while true {
                let next = try events.next()
                if case .sequenceEnd = next.kind { break }
                elements.append(try node(next, depth: depth + 1))
            }
            return YAMLNode(content: .sequence(elements), mark: event.mark)
        case .mappingStart:
            return YAMLNode(content: .mapping(try entries(depth: depth)), mark: event.mark)
        case .documentStart, .sequenceEnd, .mappingEnd, .alias, .streamEnd:
            throw YAMLError(event.mark, "a value is missing here")
        }
    }

    private mutating func entries(depth: Int) throws(YAMLError) -> [YAMLNode.Entry] {
        var entries: [YAMLNode.Entry] = []
        var lines: [String: Int] = [:]
        while true {
            let next = try events.next()
            if case .mappingEnd = next.kind { return entries }
            try check(next)
            guard case .scalar(let key, _) = next.kind else {
                throw YAMLError(next.mark, "a key is a single word, not a list or a section")
            }
            if let line = lines.updateValue(next.mark.line, forKey: key) {
                throw YAMLError(
                    next.mark, "\(key.debugDescription) is there a second time, first in line \(line): keep one of them"
                )
            }
            let value = try node(try events.next(), depth: depth + 1)
            entries.append(YAMLNode.Entry(key: key, mark: next.mark, value: value))
        }
    }

    private mutating func check(_ event: YAMLEvents.Event) throws(YAMLError) {
        if case .alias = event.kind {
            throw YAMLError(event.mark, "an alias (*) is not allowed: write the value itself")
        }
        if let decoration = event.decoration {
            throw YAMLError(event.mark, "\(decoration) is not allowed: write the value alone")
        }
        count += 1
        guard count <= Self.maximumCount else {
            throw YAMLError(event.mark, "there are more than \(Self.maximumCount) keys and values")
        }
    }
}
