import Glibc
import Testing

@testable import Platform

@Suite struct ServiceManagerTests {
    /// A socket that a service manager would listen on.
    private struct Listener {
        let descriptor: Int32

        init(_ name: String) throws {
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { bytes in
                bytes.copyBytes(from: name.utf8)
                if name.hasPrefix("@") { bytes[0] = 0 }
            }
            let length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + name.utf8.count)
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
            }
            try #require(result == 0)
        }

        func next() -> String? {
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
        }
    }

    @Test(
        "What a process does is told to the socket that it was given, a path or an abstract name",
        arguments: ["/tmp/", "@"])
    func messages(prefix: String) throws {
        let name = "\(prefix)lcp-notify-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        let listener = try Listener(name)
        defer {
            close(listener.descriptor)
            unlink(name)
        }
        let manager = try #require(ServiceManager(socket: name, watchdog: "30000000"))
        #expect(manager.patience == .seconds(30))
        manager.ready("waits\nREADY=0")
        manager.status("computes")
        manager.isAlive()
        manager.stopping()
        #expect(listener.next() == "READY=1\nSTATUS=waits READY=0")
        #expect(listener.next() == "STATUS=computes")
        #expect(listener.next() == "WATCHDOG=1")
        #expect(listener.next() == "STOPPING=1\nSTATUS=ends")
        #expect(listener.next() == nil)
    }

    @Test("A socket that nobody listens on, or that none can have, stops nobody")
    func nobody() {
        ServiceManager(socket: "/tmp/lcp-there-is-none")?.ready("runs")
        #expect(ServiceManager(socket: "") == nil && ServiceManager(socket: "relative") == nil)
        #expect(ServiceManager(socket: "/" + String(repeating: "a", count: 200)) == nil)
        #expect(ServiceManager(socket: "/tmp/a", watchdog: "-1")?.patience == nil)
        #expect(ServiceManager(socket: "/tmp/a", watchdog: "soon")?.patience == nil)
    }
}
