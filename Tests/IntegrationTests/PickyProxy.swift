import Foundation
import Glibc
import Platform
import Synchronization

/// Stands between clients and a broker, and looks at what clients send: it ends the connection, answers itself, or passes it on.
final class PickyProxy: Sendable {
    enum Verdict: Sendable {
        case pass
        /// Passes these bytes on, as many as came.
        case replace([UInt8])
        case end
        /// Answers with these bytes, and ends the connection.
        case answer([UInt8])
        /// Passes nothing on.
        case swallow
    }

    let port: Int
    private let listener: Int32
    private let broker: Int
    private let judge: @Sendable ([UInt8]) -> Verdict
    private let count = Atomic<Int>(0)

    var url: String { "mqtt://127.0.0.1:\(port)" }

    /// How many connections there were.
    var connections: Int { count.load(ordering: .relaxed) }

    /// - Parameters:
    ///   - broker: its port on this machine.
    ///   - judge: called with what a client sends, as it comes.
    init(broker: Int, judge: @escaping @Sendable ([UInt8]) -> Verdict) throws {
        (self.broker, self.judge) = (broker, judge)
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        self.listener = listener
        var address = Self.address(0)
        let isBound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.bind(listener, $0, 16) == 0 }
        }
        guard isBound, listen(listener, 16) == 0 else { throw CocoaError(.fileReadUnknown) }
        var size = socklen_t(16)
        withUnsafeMutablePointer(to: &address) {
            _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &size) }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        try startThread(name: "picky", stackSize: 256 << 10) { [self] in accept() }
    }

    func close() { shutdown(listener, Int32(SHUT_RDWR)) }

    private static func address(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private func accept() {
        while true {
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { break }
            _ = fcntl(client, F_SETFD, FD_CLOEXEC)
            count.add(1, ordering: .relaxed)
            let end = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            var address = Self.address(broker)
            let isConnected = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(end, $0, 16) == 0 }
            }
            guard isConnected,
                (try? startThread(name: "picky", stackSize: 512 << 10) { self.serve(client, end) }) != nil
            else {
                Glibc.close(client)
                Glibc.close(end)
                continue
            }
        }
        Glibc.close(listener)
    }

    private func serve(_ client: Int32, _ broker: Int32) {
        defer {
            Glibc.close(client)
            Glibc.close(broker)
        }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            var ends = [
                pollfd(fd: client, events: Int16(POLLIN), revents: 0),
                pollfd(fd: broker, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&ends, 2, -1) > 0 else { return }
            for (from, to, isClient) in [(client, broker, true), (broker, client, false)]
            where ends[isClient ? 0 : 1].revents != 0 {
                let count = read(from, &buffer, buffer.count)
                guard count > 0 else { return }
                if isClient {
                    switch judge(Array(buffer[..<count])) {
                    case .pass: break
                    case .replace(let bytes): buffer.replaceSubrange(..<count, with: bytes)
                    case .end: return
                    case .swallow: continue
                    case .answer(let bytes):
                        _ = send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL))
                        return
                    }
                }
                var sent = 0
                while sent < count {
                    let written = buffer.withUnsafeBytes {
                        send(to, $0.baseAddress! + sent, count - sent, Int32(MSG_NOSIGNAL))
                    }
                    guard written > 0 else { return }
                    sent += written
                }
            }
        }
    }
}

extension [UInt8] {
    func contains(_ text: String) -> Bool { !self[...].ranges(of: Array(text.utf8)).isEmpty }
}
