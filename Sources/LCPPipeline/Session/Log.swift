import Glibc
import Platform

/// Lines for people on standard error, each with the time and the role that speaks.
public struct Log: Sendable {
    public let name: String

    public init(_ name: String) { self.name = name }

    public func callAsFunction(_ text: String) {
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let line = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) \(name): \(Self.printable(text))\n"
        // One write, so that the lines of several processes do not mix.
        line.utf8CString.withUnsafeBytes { _ = write(STDERR_FILENO, $0.baseAddress, $0.count - 1) }
    }

    /// The text without control characters: strangers' names must not drive a terminal.
    public static func printable(_ text: String) -> String { text.printable }
}
