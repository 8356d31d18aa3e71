import Glibc
import MQTT

/// Sockets as a proxy needs them: none of these calls waits, except the resolution of a name.
enum Sockets {
    /// An address as the system takes it.
    struct Address {
        var bytes: [UInt8]
        var family: Int32

        func with<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
            bytes.withUnsafeBytes {
                // The bytes are copied from a sockaddr of this family.
                body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
            }
        }
    }

    /// The addresses of a broker or a listener, in the order in which they are tried.
    static func resolve(_ address: MQTTAddress) throws(ChaosError) -> [Address] {
        switch address {
        case .unix(let path):
            var unix = sockaddr_un()
            unix.sun_family = sa_family_t(AF_UNIX)
            guard path.utf8.count < MemoryLayout.size(ofValue: unix.sun_path), !path.utf8.contains(0) else {
                throw ChaosError("the path of a Unix socket has at most 107 bytes")
            }
            withUnsafeMutableBytes(of: &unix.sun_path) { $0.copyBytes(from: path.utf8) }
            return [Address(bytes: withUnsafeBytes(of: &unix) { Array($0) }, family: AF_UNIX)]
        case .tcp(let host, let port), .tls(let host, let port):
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            var list: UnsafeMutablePointer<addrinfo>?
            let result = getaddrinfo(host, "\(port)", &hints, &list)
            guard result == 0 else {
                throw ChaosError("cannot find \(host): \(String(cString: gai_strerror(result)))")
            }
            defer { freeaddrinfo(list) }
            var found: [Address] = []
            var next = list
            while let entry = next {
                if let address = entry.pointee.ai_addr {
                    let bytes = UnsafeRawBufferPointer(start: address, count: Int(entry.pointee.ai_addrlen))
                    found.append(Address(bytes: Array(bytes), family: entry.pointee.ai_family))
                }
                next = entry.pointee.ai_next
            }
            return found
        }
    }

    /// A socket that starts to connect; −1 with `errno` where that fails at once.
    static func connect(_ address: Address) -> Int32 {
        let descriptor = make(address.family)
        guard descriptor >= 0 else { return -1 }
        if address.family != AF_UNIX { sendAtOnce(descriptor) }
        guard address.with({ Glibc.connect(descriptor, $0, $1) }) == 0 || errno == EINPROGRESS else {
            let code = errno
            close(descriptor)
            errno = code
            return -1
        }
        return descriptor
    }

    /// The error of a connection that was being made; 0 for none.
    static func pendingError(_ descriptor: Int32) -> Int32 {
        var code: Int32 = 0
        var size = socklen_t(4)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        return code
    }

    static func listen(_ address: MQTTAddress) throws(ChaosError) -> Int32 {
        guard let resolved = try resolve(address).first else { throw ChaosError("cannot find \(address)") }
        if case .unix(let path) = address { removeStale(path, resolved) }
        let descriptor = make(resolved.family)
        guard descriptor >= 0 else { throw failure("make a socket") }
        var one: Int32 = 1
        if resolved.family != AF_UNIX { setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4) }
        guard resolved.with({ bind(descriptor, $0, $1) }) == 0, Glibc.listen(descriptor, 128) == 0 else {
            let error = failure("listen on \(address)")
            close(descriptor)
            throw error
        }
        return descriptor
    }

    /// The next connection of a listener; −1 with `errno` for none.
    static func accept(_ listener: Int32) -> Int32 {
        let descriptor = Glibc.accept(listener, nil, nil)
        guard descriptor >= 0 else { return -1 }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        return descriptor
    }

    /// The port that a listener was given.
    static func port(_ descriptor: Int32) -> Int {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutableBytes(of: &storage) { bytes in
            getsockname(descriptor, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, &size)
            // The port lies at the same place for IPv4 and IPv6.
            return Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
        }
    }

    static func sendAtOnce(_ descriptor: Int32) {
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    }

    /// Closes a connection so that the other side sees a reset, not an end.
    static func reset(_ descriptor: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close(descriptor)
    }

    static func failure(_ action: String) -> ChaosError {
        ChaosError("cannot \(action): \(String(cString: strerror(errno)))")
    }

    private static func make(_ family: Int32) -> Int32 {
        socket(
            family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    }

    /// Takes away the socket of a process that was killed: one that nobody listens on.
    private static func removeStale(_ path: String, _ address: Address) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return }
        let descriptor = make(AF_UNIX)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        if address.with({ Glibc.connect(descriptor, $0, $1) }) != 0, errno == ECONNREFUSED { unlink(path) }
    }
}
