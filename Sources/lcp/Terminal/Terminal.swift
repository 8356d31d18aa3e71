import FoundationEssentials
import Glibc
import Synchronization

/// Whether a descriptor is a terminal whose cursor moves.
func isTerminal(_ descriptor: Int32) -> Bool {
    guard isatty(descriptor) == 1 else { return false }
    let kind = getenv("TERM").map { String(cString: $0) } ?? ""
    return kind != "dumb" && !kind.isEmpty
}

/// Whether it takes colours, too, and nobody forbade them (no-color.org).
func takesColours(_ descriptor: Int32) -> Bool { isTerminal(descriptor) && getenv("NO_COLOR") == nil }

/// Opens /dev/null for what a shell closed (`lcp worker >&-`): the next socket or file would get its number, and with it every
/// line that is printed.
func holdStandardDescriptors() {
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) < 0 {
        // The lowest free number is this one.
        _ = open("/dev/null", O_RDWR)
    }
}

/// A number with a fixed number of digits behind the point.
func fixed(_ value: Double, digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    // Also what no integer holds: the number may be a stranger's.
    guard abs(value) * scale < 0x1p63 else { return "–" }
    let scaled = Int64((abs(value) * scale).rounded())
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(scaled)" }
    let fraction = String(scaled % Int64(scale))
    return "\(sign)\(scaled / Int64(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
}

/// A fraction as a percentage.
/// `1 layer`, `2 layers`.
func counted(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

/// What data of a name has: pictures, or windows of a signal.
func exampleNoun(_ data: String) -> String { ["csv", "wav"].contains(data) ? "windows" : "images" }

/// `300 windows of csv`, `10000 images of mnist`.
func examples(_ number: Int, of data: String) -> String { "\(number) \(exampleNoun(data)) of \(data)" }

func percent(_ value: Double, digits: Int = 2) -> String { fixed(value * 100, digits: digits) + " %" }

/// Seconds as people say them.
func duration(_ seconds: Double) -> String {
    guard abs(seconds) < 0x1p62 else { return "–" }
    let whole = Int(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
}

/// One line of JSON with sorted keys.
func jsonLine(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// Writes to standard error at once.
func writeErrorLine(_ text: String) { writeErrorText(text + "\n") }

func writeErrorText(_ text: String) {
    var text = text
    text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

/// Writes to standard output at once, also into a pipe.
func writeLine(_ text: String) { writeText(text + "\n") }

/// Whether standard output took not all that was written.
let outputFailed = Atomic<Bool>(false)

/// Writes to standard output at once. Where nobody reads any more, as in `lcp watch | head`, the process ends, and where the disk
/// is full it says so, too.
func writeText(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
        var written = 0
        while written < bytes.count {
            let count = write(STDOUT_FILENO, bytes.baseAddress! + written, bytes.count - written)
            if count < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN {
                    var descriptor = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
                    poll(&descriptor, 1, 1000)
                    continue
                }
                guard errno == EPIPE else { return failOutput(errno) }
                if !requestStop() { kill(getpid(), SIGTERM) }
                return
            }
            written += count
        }
    }
}

private func failOutput(_ number: Int32) {
    guard !outputFailed.exchange(true, ordering: .relaxed) else { return }
    writeErrorLine("Error: standard output cannot be written: \(String(cString: strerror(number)))")
    // What runs until a signal comes ends as cleanly as ever.
    if !requestStop() { exit(EXIT_FAILURE) }
}

/// The columns of a terminal; nil where the descriptor is none.
func terminalColumns(_ descriptor: Int32) -> Int? {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 else { return nil }
    return size.ws_col > 0 ? Int(size.ws_col) : 80
}
