import Platform

/// Turns the bytes of a source into windows of numbers that a model takes. It keeps what is not a window yet; no I/O.
public struct SignalReader: Sendable {
    /// What a source's bytes are.
    public enum Format: Sendable, Hashable {
        case csv
        /// A value of JSON in each line, or in each message: a record, or a list of records.
        case json
        case sound(SoundDecoder.Format)
    }

    /// One input.
    public struct Window: Sendable, Hashable {
        /// In the model's layout: 1 × samples × fields, or bands × frames × 1.
        public var values: [Float]
        /// The true class, where records tell it.
        public var label: String?
        /// The line or the message of its first sample, from 1; the number of its first frame of sound, from 0.
        public var place: Int
    }

    public let signal: Signal
    /// What was left out, by reason, and a sentence about the first of each.
    public private(set) var dropped: [String: UInt64] = [:]
    public private(set) var complaints: [String] = []
    /// The model's fields as the source has them; nil until its first row was read.
    public var fields: [String] { paths?.names ?? signal.fields }

    /// What stands in the source.
    private enum Item {
        case sample(Sample)
        case fault(SignalError)
        /// Samples were lost.
        case loss
    }

    private enum Source {
        case csv(DelimitedText, Columns?)
        case json([UInt8])
        case sound(SoundDecoder, LogMelStream)
    }

    private let options: RecordOptions
    private var source: Source
    private var paths: FieldPaths?
    private var maker: WindowMaker
    private var gaps: GapDetector
    /// What was read and is in no window yet, in its order.
    private var waiting: [Item] = []
    /// Of the samples that the maker has.
    private var places: [Int] = []
    private var (label, group): (String?, String?) = (nil, nil)
    private var line = 0

    /// - Parameters:
    ///   - signal: the model's. Without fields, those of a CSV's first line are read.
    ///   - width: the samples, or frames of sound, of a window.
    ///   - hop: from one window to the next; nil for the signal's.
    /// - Throws: ``SignalError`` where the source cannot be this signal.
    public init(
        _ format: Format, signal: Signal, width: Int, hop: Int? = nil, options: RecordOptions = .init()
    ) throws(SignalError) {
        self.signal = signal
        self.options = options
        maker = WindowMaker(width: width, hop: hop ?? signal.hop(for: width))
        gaps = GapDetector(longest: options.gap)
        switch (format, signal.logMel) {
        case (.csv, nil): source = .csv(DelimitedText(), nil)
        case (.json, nil):
            source = .json([])
            paths = try FieldPaths(names: signal.fields.isEmpty ? options.fields?.names ?? [] : signal.fields, options)
        case (.sound(let format), let logMel?):
            source = .sound(SoundDecoder(format, rate: logMel.sampleRate), LogMelStream(logMel))
        case (.sound, nil):
            throw SignalError("wrong_source", "the source is sound, and the model takes the fields of records")
        case (_, _?): throw SignalError("wrong_source", "the source has records, and the model takes sound")
        }
    }

    /// Takes the next bytes of the source.
    public mutating func add(_ bytes: some Sequence<UInt8>) {
        switch source {
        case .csv(var text, let columns):
            source = .json([])
            text.add(bytes)
            source = .csv(text, columns)
        case .json(var waiting):
            source = .json([])
            waiting += bytes
            source = .json(waiting)
        case .sound(var decoder, let stream):
            source = .json([])
            decoder.add(bytes)
            source = .sound(decoder, stream)
        }
    }

    /// Takes a whole message of JSON, which may have several lines.
    public mutating func add(message: some Collection<UInt8>) {
        line += 1
        take(message, line: line)
    }

    /// Tells that samples were lost here: no window goes over it.
    public mutating func breakWindow() { waiting.append(.loss) }

    /// The next window; nil where none is there.
    ///
    /// - Parameter isEnd: whether no more bytes come.
    /// - Throws: ``SignalError`` where nothing more can be read.
    public mutating func next(isEnd: Bool) throws(SignalError) -> Window? {
        while true {
            if !waiting.isEmpty {
                switch waiting.removeFirst() {
                case .sample(let sample): if let window = add(sample) { return window }
                case .fault(let error): drop(error)
                case .loss: reset()
                }
                continue
            }
            guard try read(isEnd: isEnd) else { return nil }
        }
    }

    /// Reads samples out of the bytes that are there.
    ///
    /// - Returns: whether there were some.
    private mutating func read(isEnd: Bool) throws(SignalError) -> Bool {
        switch source {
        case .csv(var text, var columns):
            source = .json([])
            defer { source = .csv(text, columns) }
            guard let row = try text.next(isEnd: isEnd) else { return false }
            guard let known = columns else {
                let (found, isHeader) = try Columns.found(in: row, signal.fields, options)
                columns = found
                paths = found.paths
                if !isHeader { take(row, found) }
                return true
            }
            take(row, known)
            return true
        case .json(var bytes):
            source = .json([])
            defer { source = .json(bytes) }
            guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) ?? (isEnd && !bytes.isEmpty ? bytes.count : nil)
            else {
                guard bytes.count <= JSONValue.longest else {
                    throw SignalError("bad_json", "line \(line + 1) has more than 1,048,576 bytes")
                }
                return false
            }
            let record = bytes[..<end]
            line += 1
            if record.contains(where: { $0 > 0x20 }) { take(record, line: line) }
            bytes.removeFirst(min(end + 1, bytes.count))
            return true
        case .sound(var decoder, var stream):
            source = .json([])
            defer { source = .sound(decoder, stream) }
            let samples = try decoder.samples(isEnd: isEnd)
            stream.add(samples)
            while let frame = stream.next() {
                waiting.append(.sample(Sample(values: frame, line: line)))
                line += 1
            }
            return !waiting.isEmpty
        }
    }

    private mutating func take(_ record: some Collection<UInt8>, line: Int) {
        guard let paths else { return }
        do throws(SignalError) {
            let value = try JSONValue(record)
            guard case .list(let records) = value, records.contains(where: \.isRecord) else {
                waiting.append(.sample(try paths.sample(value, line: line)))
                return
            }
            for record in records { waiting.append(.sample(try paths.sample(record, line: line))) }
        } catch { waiting.append(.fault(error)) }
    }

    private mutating func take(_ row: DelimitedText.Row, _ columns: Columns) {
        do throws(SignalError) {
            waiting.append(.sample(try columns.sample(row)))
        } catch { waiting.append(.fault(error)) }
    }

    /// What is missing in the middle of a window ends it.
    private mutating func drop(_ error: SignalError) {
        if dropped[error.reason] == nil { complaints.append(error.description) }
        dropped[error.reason, default: 0] += 1
        reset()
    }

    private mutating func reset() {
        maker.reset()
        places = []
    }

    private mutating func add(_ sample: Sample) -> Window? {
        if sample.label != label || sample.group != group { reset() }
        (label, group) = (sample.label, sample.group)
        if let time = sample.time, gaps.isGap(time), !maker.isEmpty {
            drop(SignalError("gap", "time was lost before record \(sample.line): the window begins anew"))
        }
        let isPassedOver = maker.isPassingOver
        if !isPassedOver { places.append(sample.line) }
        guard let samples = maker.add(sample.values) else { return nil }
        let place = places.first ?? sample.line
        places.removeFirst(min(maker.hop, places.count))
        return Window(values: layout(samples), label: label, place: place)
    }

    /// Samples one after the other, or bands one below the other.
    private func layout(_ samples: [[Float]]) -> [Float] {
        guard let bands = signal.logMel?.bands else { return samples.flatMap { $0 } }
        return (0..<bands).flatMap { band in samples.map { $0[band] } }
    }
}

/// What stands in which column.
struct Columns: Sendable {
    var paths: FieldPaths
    private var values: [Int]
    private var (label, time, group): (Int?, Int?, Int?)
    private var count: Int

    /// Names that the column of the true class usually has.
    private static let labels = ["label", "class", "target"]

    /// Finds the columns of a model's fields by the first row.
    ///
    /// - Parameter names: the model's fields; empty for all columns that are nothing else.
    /// - Returns: also whether the row names them; where it holds numbers alone, columns are called 1, 2 and so on.
    /// - Throws: ``SignalError`` where a column is missing.
    static func found(
        in row: DelimitedText.Row, _ names: [String], _ options: RecordOptions
    ) throws(SignalError) -> (Columns, isHeader: Bool) {
        let isHeader = !row.cells.allSatisfy { Double($0) != nil }
        let header = isHeader ? row.cells : row.cells.indices.map { "\($0 + 1)" }
        var options = options
        if options.label == nil {
            options.label = header.first { labels.contains($0.lowercased()) }
        }
        func place(_ path: String?, _ what: String) throws(SignalError) -> Int? {
            guard let path else { return nil }
            guard
                let place = header.firstIndex(of: path)
                    ?? header.firstIndex(where: { $0.lowercased() == path.lowercased() })
            else {
                throw SignalError(
                    "no_column",
                    "there is no column \(path.quoted) for \(what): there are "
                        + header.prefix(20).map(\.printable).joined(separator: ", ")
                        + (header.count > 20 ? " and \(header.count - 20) more" : ""))
            }
            return place
        }
        let label = try place(options.label, "the class")
        let time = try place(options.time, "the time")
        let group = try place(options.group, "what records belong to")
        var names = names
        if names.isEmpty {
            names =
                options.fields?.names
                ?? header.indices.filter { ![label, time, group].contains($0) }.map { header[$0] }
        }
        guard !names.isEmpty else { throw SignalError("no_column", "there is no column besides that of the class") }
        guard Set(names).count == names.count else {
            throw SignalError("no_column", "two columns have one name: name the fields, for example fields=a+b")
        }
        let paths = try FieldPaths(names: names, options)
        var values: [Int] = []
        for (name, path) in zip(names, paths.values) {
            values.append(try place(path, "the field \(name.quoted)") ?? 0)
        }
        var columns = Columns(paths: paths, values: values, count: header.count)
        (columns.label, columns.time, columns.group) = (label, time, group)
        return (columns, isHeader)
    }

    private init(paths: FieldPaths, values: [Int], count: Int) {
        (self.paths, self.values, self.count) = (paths, values, count)
        (label, time, group) = (nil, nil, nil)
    }

    /// - Throws: ``SignalError`` for a row without one of the values.
    func sample(_ row: DelimitedText.Row) throws(SignalError) -> Sample {
        guard row.cells.count >= count, row.cells.dropFirst(count).allSatisfy(\.isEmpty) else {
            throw SignalError(
                "missing_value", "line \(row.line) has \(row.cells.count) cells, and the first line has \(count)")
        }
        var numbers: [Float] = []
        numbers.reserveCapacity(values.count)
        for (index, column) in values.enumerated() {
            numbers.append(try FieldPaths.number(row.cells[column], of: paths.names[index], line: row.line))
        }
        var sample = Sample(values: numbers, line: row.line)
        if let label {
            guard !row.cells[label].isEmpty else {
                throw SignalError("missing_value", "line \(row.line) has no class")
            }
            sample.label = row.cells[label]
        }
        sample.group = group.map { row.cells[$0] }
        if let time {
            sample.time = Timestamp.seconds(row.cells[time])
            guard sample.time != nil else { throw FieldPaths.noTime(paths.options.time ?? "", row.line) }
        }
        return sample
    }
}

extension JSONValue {
    /// An object, or a list of numbers.
    fileprivate var isRecord: Bool {
        switch self {
        case .object, .list: true
        case .number, .text, .flag, .null: false
        }
    }
}
