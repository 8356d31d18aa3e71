import FoundationEssentials
import Glibc
import LCPWire
public import Logging
import Platform
import Synchronization

/// Writes lines to standard error, each with its date and time and the role that speaks: for people, or as JSON for machines.
public struct LogWriter: LogHandler {
    /// How lines look.
    public enum Format: String, Sendable, Hashable, CaseIterable {
        /// `2026-02-03 04:05:06.789 warning worker pi-3: …`, in local time; the level only where it is not `info`.
        case text
        /// An object with `time` (RFC 3339, UTC), `level`, `name` and `message`.
        case json
    }

    /// The levels that can be chosen, the one that tells most first.
    public static let levels: [Logger.Level] = [.debug, .info, .warning, .error]

    private static let format = Atomic<UInt8>(0)
    private static let level = Atomic<UInt8>(1)

    private let name: String
    public var logLevel: Logger.Level
    public var metadata: Logger.Metadata = [:]

    public subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Makes all loggers of this process write so; once.
    public static func install() { LoggingSystem.bootstrap { LogWriter($0) } }

    /// What loggers that are made from now on tell, and how; where it is not one of ``levels``, all of them.
    public static func set(_ level: Logger.Level, _ format: Format) {
        Self.level.store(UInt8(levels.firstIndex(of: level) ?? 0), ordering: .relaxed)
        Self.format.store(format == .json ? 1 : 0, ordering: .relaxed)
    }

    private init(_ name: String) {
        self.name = name
        logLevel = Self.levels[Int(Self.level.load(ordering: .relaxed))]
    }

    public func log(event: LogEvent) {
        let isJSON = Self.format.load(ordering: .relaxed) == 1
        let (level, text, now) = (event.level, "\(event.message)", wallClockNanoseconds())
        let line = isJSON ? Self.json(name, level, text, now) : Self.text(name, level, text, now)
        // One write, so that the lines of several processes do not mix.
        line.utf8CString.withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress, $0.count - 1) }
    }

    /// - Parameter time: nanoseconds since 1970 UTC.
    static func text(_ name: String, _ level: Logger.Level, _ text: String, _ time: Int64) -> String {
        var (seconds, parts) = (time_t(time / 1_000_000_000), tm())
        localtime_r(&seconds, &parts)
        func padded(_ value: some BinaryInteger, _ digits: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
        let date = "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))"
        let clock = "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))"
        let fraction = padded(time / 1_000_000 % 1000, 3)
        return "\(date) \(clock).\(fraction) \(level == .info ? "" : "\(level) ")\(name): \(text)\n"
    }

    /// - Parameter time: nanoseconds since 1970 UTC.
    static func json(_ name: String, _ level: Logger.Level, _ text: String, _ time: Int64) -> String {
        struct Line: Encodable {
            var time: String
            var level: String
            var name: String
            var message: String
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let line = Line(time: Timestamp.text(time), level: "\(level)", name: name, message: text)
        return (try? encoder.encode(line)).map { String(decoding: $0, as: UTF8.self) + "\n" } ?? ""
    }
}
