import Platform
public import Signals

/// Records in files with separators, a row for each, and how windows of them become examples: `csv:FILE[,TEST][,label=COLUMN]…`.
public struct RecordFiles: Sendable, Hashable {
    public var training: String
    /// Records to evaluate on; nil where there are none.
    public var test: String?
    public var options = RecordOptions()
    /// From one window to the next; nil for half a window.
    public var hop: Int?

    /// What can be written behind `csv:`.
    public static let form =
        "FILE[,TEST][,label=COLUMN][,fields=A+B][,time=COLUMN][,gap=SECONDS][,by=COLUMN][,hop=N]"

    /// The most bytes of a file.
    private static let maximumBytes = 4 << 30

    /// Reads ``form``.
    ///
    /// - Throws: ``DatasetError`` for anything else.
    public init(_ text: some StringProtocol) throws(DatasetError) {
        func refusal(_ what: String) -> DatasetError { DatasetError("csv:\(text): \(what): write csv:\(Self.form)") }
        var files: [String] = []
        for part in String(text).split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard sides.count == 2, Self.words.contains(sides[0]) else {
                files.append(String(part))
                continue
            }
            guard !sides[1].isEmpty else { throw refusal("\(sides[0])= says nothing") }
            switch sides[0] {
            case "label": options.label = sides[1]
            case "time": options.time = sides[1]
            case "by": options.group = sides[1]
            case "gap":
                guard let gap = Double(sides[1]), gap > 0, gap.isFinite else { throw refusal("a gap is above 0") }
                options.gap = gap
            case "hop":
                guard let number = Int(sides[1]), (1...Signal.longestHop).contains(number) else {
                    throw refusal("a hop is 1 to 1,000,000 records")
                }
                hop = number
            default:
                do throws(SignalError) {
                    options.fields = try FieldMap(sides[1].split(separator: "+").joined(separator: ","))
                } catch {
                    throw refusal(error.description)
                }
            }
        }
        guard (1...2).contains(files.count), files.allSatisfy({ !$0.isEmpty }) else {
            throw refusal("it has to name one file, or two")
        }
        guard options.gap == nil || options.time != nil else { throw refusal("gap= needs time=") }
        (training, test) = (files[0], files.count > 1 ? files[1] : nil)
    }

    private static let words: Set<String> = ["label", "fields", "time", "gap", "by", "hop"]

    /// What stands behind the files.
    var optionWords: String {
        let parts: [(String, String?)] = [
            ("label", options.label), ("fields", options.fields?.names.joined(separator: "+")), ("time", options.time),
            ("gap", options.gap.map { "\($0)" }), ("by", options.group), ("hop", hop.map { "\($0)" }),
        ]
        return parts.compactMap { name, value in value.map { ",\(name)=\($0)" } }.joined()
    }

    /// The fields of the file to train on, in their order.
    ///
    /// - Throws: ``DatasetError``.
    public func fields() throws -> [String] { try windows(of: training, width: 1, signal: nil, most: 1).fields }

    /// The classes of the file to train on: numbers by their size, words by the alphabet.
    ///
    /// - Throws: ``DatasetError``; `CancellationError` where the task is cancelled.
    func classes(isTest: Bool) throws -> [String] {
        let file = isTest ? test ?? training : training
        let classes = try windows(of: file, width: 1, signal: nil, most: nil).classes
        guard !classes.isEmpty else { throw DatasetError("\(file) has no records in it") }
        return classes
    }

    /// The windows of a file, with their classes.
    ///
    /// - Parameters:
    ///   - width: records of a window.
    ///   - channels: the fields that a network takes.
    ///   - signal: the model's; nil for the file's own.
    /// - Throws: ``DatasetError``; `CancellationError` where the task is cancelled.
    func read(isTest: Bool, width: Int, channels: Int?, signal: Signal?) throws -> LabeledImages {
        let file = isTest ? test ?? training : training
        let found = try windows(of: file, width: width, signal: signal, most: nil)
        guard !found.fields.isEmpty else { throw DatasetError("\(file) has no records in it") }
        if let channels, found.fields.count != channels {
            throw DatasetError(
                "\(file) has \(found.fields.count) fields (\(found.fields.prefix(20).map(\.printable).joined(separator: ", "))), "
                    + "and \(channels) are needed: name them, csv:FILE,fields=A+B, or give --input 1x\(width)x\(found.fields.count)"
            )
        }
        guard !found.labels.isEmpty else {
            throw DatasetError(
                "\(file) has no window of \(width) whole records in a row: --input 1x64x\(found.fields.count) makes windows of 64"
                    + (found.dropped.isEmpty ? "" : "; \(found.dropped.joined(separator: "; "))"))
        }
        var result = LabeledImages(height: 1, width: width, channels: found.fields.count)
        let hop = hop ?? signal?.hop
        result.signal = Signal(fields: found.fields, hop: hop)
        let known = Dictionary(uniqueKeysWithValues: found.classes.enumerated().map { ($1, UInt16($0)) })
        result.labels = found.labels.map { known[$0] ?? 0 }
        result.pixels = found.values.withUnsafeBytes { Array($0) }
        result.notes = found.dropped
        if signal == nil, !isTest {
            let names = found.fields.prefix(20).map(\.printable).joined(separator: ", ")
            result.notes.insert("\(file): the fields are \(names)\(found.fields.count > 20 ? ", …" : "")", at: 0)
        }
        let step = Signal(fields: found.fields, hop: hop).hop(for: width)
        result.overlap = (width + step - 1) / step - 1
        return result
    }

    private struct Found {
        var fields: [String] = []
        var values: [Float] = []
        var labels: [String] = []
        /// A sentence for each reason.
        var dropped: [String] = []

        var classes: [String] {
            let names = Set(labels)
            let numbers = names.compactMap { name in Double(name).map { ($0, name) } }
            return numbers.count == names.count
                ? numbers.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.1) : names.sorted()
        }
    }

    private func windows(of file: String, width: Int, signal: Signal?, most: Int?) throws -> Found {
        let bytes: [UInt8]
        do { bytes = try FileIO.read(file, limit: Self.maximumBytes) } catch { throw DatasetError("\(error)") }
        var result = Found()
        do {
            var reader = try SignalReader(
                .csv, signal: signal ?? Signal(fields: []), width: width, hop: hop ?? signal?.hop, options: options)
            var place = 0
            while true {
                try Task.checkCancellation()
                let isEnd = place == bytes.count
                while let window = try reader.next(isEnd: isEnd) {
                    guard let label = window.label else {
                        throw DatasetError(
                            "\(file) has no column for the class: name it, csv:FILE,label=COLUMN; it has "
                                + reader.fields.prefix(20).map(\.printable).joined(separator: ", "))
                    }
                    result.values += window.values
                    result.labels.append(label)
                    if let most, result.labels.count >= most { break }
                }
                if isEnd || most.map({ result.labels.count >= $0 }) == true { break }
                let next = min(bytes.count, place + 1 << 20)
                reader.add(bytes[place..<next])
                place = next
            }
            result.fields = reader.fields
            let text = reader.dropped["text_value"] ?? 0
            // A column of words is no field, and not one bad row after the other.
            if text > 0 && (result.labels.isEmpty || text > UInt64(result.labels.count))
                || width == 1 && result.labels.isEmpty,
                let first = reader.complaints.first
            {
                let advice =
                    text > 0
                    ? "name the class, label=COLUMN, or the time, time=COLUMN, if it is that, or the fields, fields=A+B"
                    : "look at the file"
                throw DatasetError("\(file): \(first); \(advice)")
            }
            let total = reader.dropped.values.reduce(0, +)
            if total > 0 {
                result.dropped = [
                    "\(total) record\(total == 1 ? " of \(file) was" : "s of \(file) were") left out or ended a window: "
                        + reader.complaints.joined(separator: "; ")
                ]
            }
        } catch let error as SignalError {
            throw DatasetError("\(file): \(error.description)")
        }
        guard Set(result.labels).count <= 65_536 else { throw DatasetError("\(file) has more than 65,536 classes") }
        return result
    }
}
