import Logging
import Platform

/// What a role tells people, through swift-log: `lcp` writes it to standard error (``LogWriter``), a program that embeds a role
/// wherever its logging system does.
public struct Log: Sendable {
    private let logger: Logger

    /// - Parameter name: who speaks, for example `worker pi-3`.
    public init(_ name: String) { logger = Logger(label: name) }

    /// Tells what happened.
    public func callAsFunction(_ text: String) { logger.info("\(Self.printable(text))") }

    /// Tells what should not be, and was dealt with: something was dropped, somebody is missing.
    public func warning(_ text: String) { logger.warning("\(Self.printable(text))") }

    /// Tells what only somebody wants to know who looks for a fault.
    public func debug(_ text: @autoclosure () -> String) { logger.debug("\(Self.printable(text()))") }

    /// The text without control characters: strangers' names must not drive a terminal.
    public static func printable(_ text: String) -> String { text.printable }
}
