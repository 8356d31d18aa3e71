import HostileInputs
import Signals

extension Parser {
    static let signals: [Parser] = [
        Parser("csv", .text, seeds: { _ in Seeds.recordTexts }) { try windows($0, .csv, Signal(fields: [])) },
        Parser("records", .json, seeds: { _ in Seeds.recordLines }) {
            try windows($0, .json, Signal(fields: ["a", "b.c[1]"]))
        },
        Parser("wav", .plain, seeds: { _ in Seeds.sounds }) { try windows($0, .sound(.wav), sound) },
    ]

    private static let sound: Signal = {
        var settings = LogMel()
        (settings.sampleRate, settings.fft, settings.window, settings.hop, settings.bands) = (8000, 16, 16, 8, 4)
        (settings.lowest, settings.highest) = (0, 4000)
        return Signal(logMel: settings)
    }()

    /// The same windows have to come out however the bytes are cut, each whole and finite.
    private static func windows(_ bytes: [UInt8], _ format: SignalReader.Format, _ signal: Signal) throws -> Outcome {
        let whole = Result { try read([bytes[...]], format, signal) }
        let middle = bytes.count / 2
        let cut = Result { try read([bytes[..<middle], bytes[middle...]], format, signal) }
        switch (whole, cut) {
        case (.success(let one), .success(let other)) where one == other: return one.isEmpty ? .refused(nil) : .accepted
        case (.failure(let one as SignalError), .failure(let other as SignalError)) where one.reason == other.reason:
            return .refused(one.description)
        default: throw Violation("what is read depends on where the bytes are cut")
        }
    }

    private static func read(
        _ pieces: [ArraySlice<UInt8>], _ format: SignalReader.Format, _ signal: Signal
    ) throws -> [SignalReader.Window] {
        var options = RecordOptions()
        if format == .csv { options.time = "t" }
        var reader: SignalReader
        do {
            reader = try SignalReader(format, signal: signal, width: 2, hop: 1, options: options)
            return try read(pieces, &reader)
        } catch let error as SignalError where error.reason == "no_column" {
            reader = try SignalReader(format, signal: signal, width: 2, hop: 1)
            return try read(pieces, &reader)
        }
    }

    private static func read(
        _ pieces: [ArraySlice<UInt8>], _ reader: inout SignalReader
    ) throws -> [SignalReader.Window] {
        var result: [SignalReader.Window] = []
        for (index, piece) in pieces.enumerated() {
            reader.add(piece)
            while let window = try reader.next(isEnd: index == pieces.count - 1) {
                let height = reader.signal.logMel?.bands ?? reader.fields.count
                guard window.values.count == 2 * height, window.values.allSatisfy(\.isFinite) else {
                    throw Violation("a window has \(window.values.count) numbers, or some that are not finite")
                }
                result.append(window)
            }
        }
        for complaint in reader.complaints where complaint.unicodeScalars.contains(where: { $0.value < 0x20 }) {
            throw Violation("a complaint has control characters: \(complaint.debugDescription)")
        }
        return result
    }
}
