import CMosquitto
import Glibc
import Testing

@testable import MQTT

@Suite struct ClusterNodesTests {
    /// A listener on a free port of this machine.
    private func listener(backlog: Int32) throws -> (descriptor: Int32, port: Int) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic -> Int32 in
                guard bind(descriptor, generic, length) == 0, listen(descriptor, backlog) == 0 else { return -1 }
                return getsockname(descriptor, generic, &length)
            }
        }
        try #require(result == 0)
        return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
    }

    @Test("A node that takes connections is told from one that refuses them, and from one that says nothing")
    func tries() throws {
        let (descriptor, port) = try listener(backlog: 0)
        defer { close(descriptor) }
        let address = MQTTAddress.tcp(host: "127.0.0.1", port: port)
        #expect(ClusterNodes.tries(address).result == MOSQ_ERR_SUCCESS.int)
        // Nobody takes what waits there, so that the system soon leaves further ones without an answer.
        var open: [Int32] = []
        defer { for descriptor in open { close(descriptor) } }
        var silent: (result: Int32, systemError: Int32)?
        for _ in 0..<8 where silent == nil {
            let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
            let client = socket(AF_INET, kind, 0)
            open.append(client)
            var target = sockaddr_in()
            target.sin_family = sa_family_t(AF_INET)
            target.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            target.sin_port = UInt16(port).bigEndian
            _ = withUnsafePointer(to: &target) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            let found = ClusterNodes.tries(address, within: .milliseconds(100))
            if found.result != MOSQ_ERR_SUCCESS.int { silent = found }
        }
        #expect(silent?.result == MOSQ_ERR_ERRNO.int && silent?.systemError == ETIMEDOUT)
        let refused = ClusterNodes.tries(.tcp(host: "127.0.0.1", port: 1))
        #expect(refused.result == MOSQ_ERR_ERRNO.int && refused.systemError == ECONNREFUSED)
    }

    @Test("One node after the other is used, and the first again")
    func turns() throws {
        let addresses = try MQTTAddress.list("a,b,c")
        let nodes = ClusterNodes(addresses, first: 1)
        var used: [MQTTAddress] = []
        for _ in 0..<4 {
            used.append(nodes.current)
            nodes.advance()
        }
        #expect(used == [addresses[1], addresses[2], addresses[0], addresses[1]])
        // By chance, so that many clients are on all of them.
        #expect(Set((0..<100).map { _ in ClusterNodes(addresses).current }).count == 3)
    }
}
