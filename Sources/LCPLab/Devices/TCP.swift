import Glibc
import LCPWire
import Platform

/// Blocking TCP connections between emulated devices.
enum TCP {
    private static func failure(_ action: String) -> PipelineError {
        PipelineError(.resources, "cannot \(action): \(String(cString: strerror(errno)))")
    }

    private static func withAddress<Result>(
        _ host: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr(host)
        return withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }

    private static func open() throws(PipelineError) -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure("make a socket") }
        return descriptor
    }

    private static func hurry(_ descriptor: Int32) {
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    }

    /// Listens on all addresses.
    static func listen(port: UInt16) throws(PipelineError) -> Int32 {
        let descriptor = try open()
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        guard withAddress("0.0.0.0", port, { bind(descriptor, $0, $1) }) == 0, Glibc.listen(descriptor, 64) == 0 else {
            close(descriptor)
            throw failure("listen on port \(port)")
        }
        return descriptor
    }

    /// Connects; where nobody listens yet, again until the patience ends.
    static func connect(_ host: String, port: UInt16, patience: Duration) throws(PipelineError) -> Int32 {
        let deadline = ContinuousClock.now + patience
        while true {
            let descriptor = try open()
            if withAddress(host, port, { Glibc.connect(descriptor, $0, $1) }) == 0 {
                hurry(descriptor)
                return descriptor
            }
            close(descriptor)
            guard ContinuousClock.now < deadline else { throw failure("connect to \(host) port \(port)") }
            usleep(5000)
        }
    }

    static func accept(_ listener: Int32, patience: Duration) throws(PipelineError) -> Int32 {
        var waiting = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, Int32(patience.milliseconds)) == 1 else {
            throw PipelineError(.timedOut, "nobody connected in \(patience.milliseconds / 1000) s")
        }
        let descriptor = Glibc.accept(listener, nil, nil)
        guard descriptor >= 0 else { throw failure("take a connection") }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        hurry(descriptor)
        return descriptor
    }

    static func send(_ bytes: [UInt8], _ descriptor: Int32) throws(PipelineError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("send") }
            sent += count
        }
    }

    static func receive(_ count: Int, _ descriptor: Int32) throws(PipelineError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var received = 0
        while received < count {
            let got = bytes.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress! + received, $0.count - received, 0)
            }
            if got < 0, errno == EINTR { continue }
            guard got != 0 else { throw PipelineError(.processFailed, "a connection ended before its last byte") }
            guard got > 0 else { throw failure("receive") }
            received += got
        }
        return bytes
    }
}
