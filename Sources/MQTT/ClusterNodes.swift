import CMosquitto
import Glibc
import Synchronization

/// The nodes of a cluster, and which of them a client uses now; told on any thread.
final class ClusterNodes: Sendable {
    private let addresses: [MQTTAddress]
    private let index: Atomic<Int>

    /// - Parameter first: which one is used first; one by chance where nil, so that many clients are on all of them.
    init(_ addresses: [MQTTAddress], first: Int? = nil) {
        self.addresses = addresses
        index = Atomic(first ?? Int.random(in: addresses.indices))
    }

    var count: Int { addresses.count }

    var current: MQTTAddress { addresses[index.load(ordering: .relaxed)] }

    /// Uses the next one from now on.
    func advance() { index.store((index.load(ordering: .relaxed) + 1) % addresses.count, ordering: .relaxed) }

    /// How long a node may take to take a connection, where there are others. The system would wait for two minutes for one that
    /// is switched off.
    static let patience = Duration.seconds(3)

    /// Tries whether something takes connections at an address. Blocks.
    ///
    /// - Returns: a result of libmosquitto and `errno`. Where there is no such host, that is left to libmosquitto to say.
    static func tries(_ address: MQTTAddress, within limit: Duration = patience) -> (result: Int32, systemError: Int32)
    {
        guard case .tcp(let host, let port) = address.asTCP else { return (MOSQ_ERR_SUCCESS.int, 0) }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, "\(port)", &hints, &list) == 0 else { return (MOSQ_ERR_SUCCESS.int, 0) }
        defer { freeaddrinfo(list) }
        let end = ContinuousClock.now + limit
        var last: Int32 = 0
        var next = list
        while let entry = next {
            next = entry.pointee.ai_next
            last = failure(entry.pointee, until: end)
            if last == 0 { return (MOSQ_ERR_SUCCESS.int, 0) }
        }
        return (MOSQ_ERR_ERRNO.int, last)
    }

    /// - Returns: 0 where the connection is taken, or `errno`.
    private static func failure(_ entry: addrinfo, until end: ContinuousClock.Instant) -> Int32 {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(entry.ai_family, kind, 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        if connect(descriptor, entry.ai_addr, entry.ai_addrlen) == 0 { return 0 }
        guard errno == EINPROGRESS else { return errno }
        var waited = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        let milliseconds = (end - .now) / .milliseconds(1)
        guard poll(&waited, 1, Int32(max(0, milliseconds))) > 0 else { return ETIMEDOUT }
        var error: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
        return error
    }
}

extension MQTTAddress {
    /// The same host and port without TLS.
    fileprivate var asTCP: MQTTAddress {
        if case .tls(let host, let port) = self { .tcp(host: host, port: port) } else { self }
    }
}
