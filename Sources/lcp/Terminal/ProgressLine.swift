import Glibc

/// A line on standard error that is written over and over; nothing where that is no terminal.
final class ProgressLine {
    private let isLive = isTerminal(STDERR_FILENO)
    private var isShown = false

    /// - Parameters:
    ///   - fraction: the part that is done, 0 to 1.
    ///   - parts: what is told beside the bar, the most important first: what does not fit into the line is left out.
    func show(_ fraction: Double, _ parts: String...) {
        guard isLive else { return }
        writeErrorText("\r\u{1B}[K" + Self.text(fraction, parts, columns: Self.columns))
        isShown = true
    }

    deinit { clear() }

    func clear() {
        if isShown { writeErrorText("\r\u{1B}[K") }
        isShown = false
    }

    /// The line, which ends before the terminal's last column.
    static func text(_ fraction: Double, _ parts: [String], columns: Int) -> String {
        let width = max(4, min(24, columns / 5))
        let filled = Int((max(0, min(1, fraction)) * Double(width)).rounded())
        var line = String(repeating: "█", count: filled) + String(repeating: "·", count: width - filled)
        for (index, part) in parts.enumerated() {
            let longer = line + (index == 0 ? " " : "  ") + part
            guard longer.count < columns else {
                // Of the most important one as much as fits.
                return index == 0 ? String(longer.prefix(max(0, columns - 1))) : line
            }
            line = longer
        }
        return line
    }

    /// The terminal's columns; 80 where it does not tell them.
    private static var columns: Int { terminalColumns(STDERR_FILENO) ?? 80 }
}
