import Glibc

/// The service manager that started this process and wants to hear how it does: systemd's protocol, sd_notify(3).
///
/// Nothing fails because of it: what it cannot take is lost.
package final class ServiceManager: Sendable {
    /// The one of this process; nil where `NOTIFY_SOCKET` names no socket. It must be asked for before there are other threads,
    /// because its variables are taken out of the environment: children are not meant.
    package static let own: ServiceManager? = {
        let names = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]
        let values = names.map(environmentVariable)
        for name in names { unsetenv(name) }
        return values[0].flatMap {
            ServiceManager(socket: $0, watchdog: values[2].map { $0 == "\(getpid())" } ?? true ? values[1] : nil)
        }
    }()

    /// How long it may hear nothing before it takes the process for one that hangs; nil where it does not look.
    package let patience: Duration?
    private let descriptor: Int32
    private let path: [UInt8]

    /// - Parameters:
    ///   - socket: a path, or an abstract name with `@` in front.
    ///   - watchdog: microseconds.
    package init?(socket: String, watchdog: String? = nil) {
        path = Array(socket.utf8)
        guard path.first == UInt8(ascii: "/") || path.first == UInt8(ascii: "@"), path.count > 1,
            path.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path)
        else { return nil }
        let opened = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard opened >= 0 else { return nil }
        descriptor = opened
        patience = watchdog.flatMap { Int64($0) }.flatMap { $0 > 0 ? .microseconds($0) : nil }
    }

    deinit { close(descriptor) }

    /// It has started: it runs, or waits for what it cannot start itself.
    ///
    /// - Parameter status: what it does, one line.
    package func ready(_ status: String) { send("READY=1\nSTATUS=\(Self.line(status))") }

    /// It does something else now.
    package func status(_ status: String) { send("STATUS=\(Self.line(status))") }

    /// It still does something.
    package func isAlive() { send("WATCHDOG=1") }

    /// It ends.
    package func stopping() { send("STOPPING=1\nSTATUS=ends") }

    /// A line break would begin another assignment.
    private static func line(_ text: String) -> String {
        String(text.prefix(200).map { $0.isNewline ? " " : $0 })
    }

    private func send(_ message: String) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            bytes.copyBytes(from: path)
            if path[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        }
        let length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + path.count)
        var text = message
        text.withUTF8 { bytes in
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    _ = sendto(
                        descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT),
                        $0, length)
                }
            }
        }
    }
}
