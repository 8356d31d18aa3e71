import CYAML

/// Owns a parser of libyaml and the text that it reads.
final class YAMLEvents {
    /// What comes next in a text.
    enum Kind {
        case documentStart
        case scalar(String, isPlain: Bool)
        case sequenceStart
        case sequenceEnd
        case mappingStart
        case mappingEnd
        case alias
        case streamEnd
    }

    struct Event {
        var kind: Kind
        var mark: YAMLMark
        /// A word for what the value carries besides itself.
        var decoration: String?
    }

    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let text: UnsafeMutableBufferPointer<UInt8>

    init(_ bytes: [UInt8]) throws(YAMLError) {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        guard yaml_parser_initialize(parser) == 1 else {
            parser.deallocate()
            throw YAMLError(YAMLMark(line: 1, column: 1), "there is no memory for a parser")
        }
        self.parser = parser
        // One byte more, so that there always is an address.
        text = .allocate(capacity: bytes.count + 1)
        _ = text.initialize(from: bytes + [0])
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, text.baseAddress, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        text.deallocate()
    }

    /// The next event that says something; document and stream borders that say nothing are passed over.
    func next() throws(YAMLError) -> Event {
        while true {
            var event = yaml_event_t()
            guard yaml_parser_parse(parser, &event) == 1 else { throw failure() }
            defer { yaml_event_delete(&event) }
            let mark = Self.mark(event.start_mark)
            switch event.type {
            case YAML_DOCUMENT_START_EVENT: return Event(kind: .documentStart, mark: mark)
            case YAML_ALIAS_EVENT: return Event(kind: .alias, mark: mark)
            case YAML_SCALAR_EVENT:
                let scalar = event.data.scalar
                let text = String(
                    decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
                return Event(
                    kind: .scalar(text, isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE), mark: mark,
                    decoration: Self.decoration(anchor: scalar.anchor, tag: scalar.tag))
            case YAML_SEQUENCE_START_EVENT:
                let start = event.data.sequence_start
                return Event(
                    kind: .sequenceStart, mark: mark,
                    decoration: Self.decoration(anchor: start.anchor, tag: start.tag))
            case YAML_MAPPING_START_EVENT:
                let start = event.data.mapping_start
                return Event(
                    kind: .mappingStart, mark: mark,
                    decoration: Self.decoration(anchor: start.anchor, tag: start.tag))
            case YAML_SEQUENCE_END_EVENT: return Event(kind: .sequenceEnd, mark: mark)
            case YAML_MAPPING_END_EVENT: return Event(kind: .mappingEnd, mark: mark)
            case YAML_STREAM_END_EVENT, YAML_NO_EVENT: return Event(kind: .streamEnd, mark: mark)
            default: continue
            }
        }
    }

    private static func decoration(
        anchor: UnsafeMutablePointer<yaml_char_t>?, tag: UnsafeMutablePointer<yaml_char_t>?
    ) -> String? {
        anchor != nil ? "an anchor (&)" : tag != nil ? "a tag (!)" : nil
    }

    private static func mark(_ mark: yaml_mark_t) -> YAMLMark {
        YAMLMark(line: Int(clamping: mark.line) + 1, column: Int(clamping: mark.column) + 1)
    }

    private func failure() -> YAMLError {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "there is no memory"
        // Before there are characters there are bytes only.
        if parser.pointee.error == YAML_READER_ERROR {
            return YAMLError(
                mark(atByte: Int(clamping: parser.pointee.problem_offset)), "\(problem): save the text as UTF-8")
        }
        let mark = Self.mark(parser.pointee.problem_mark)
        if hasTab(inFrontOf: mark) {
            return YAMLError(mark, "a tab stands where only spaces indent: put spaces in its place")
        }
        let context = parser.pointee.context.map { " " + String(cString: $0) } ?? ""
        return YAMLError(
            mark, "\(problem)\(context): check the colons, quotes and indentation here and in the line above")
    }

    private func mark(atByte offset: Int) -> YAMLMark {
        let before = text.prefix(min(offset, text.count - 1))
        let line = before.split(separator: 0x0A, omittingEmptySubsequences: false)
        return YAMLMark(
            line: line.count, column: String(decoding: line.last ?? before, as: UTF8.self).unicodeScalars.count + 1)
    }

    /// Whether the white space before a place, or the character there, has a tab.
    private func hasTab(inFrontOf mark: YAMLMark) -> Bool {
        let lines = text.dropLast().split(separator: 0x0A, omittingEmptySubsequences: false)
        guard lines.indices.contains(mark.line - 1) else { return false }
        return lines[mark.line - 1].prefix { $0 == 0x20 || $0 == 0x09 }.contains(0x09)
    }
}
