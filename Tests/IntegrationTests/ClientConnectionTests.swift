import Foundation
import LCPLocal
import MQTT
import Platform
import Testing

/// Connections that cannot be made, and those that end.
@Suite struct ClientConnectionTests {
    @Test func aMissingBrokerIsToldInOneSentence() async throws {
        let client = try MQTTClient(.init(address: .tcp(host: "127.0.0.1", port: 1)))
        let error = await #expect(throws: MQTTError.self) { try await client.connect() }
        #expect(error?.code == .unreachable)
        #expect(
            error?.description
                == "cannot connect to mqtt://127.0.0.1:1: Connection refused: is a broker running there? `lcp broker` starts one"
        )
    }

    /// A socket that takes connections and never says a word; one that is full takes none, so that whoever connects waits.
    static func silentListener(isFull: Bool) throws -> (descriptors: [Int32], port: Int) {
        let descriptors = (0..<2).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutableBytes(of: &address) { bytes -> Int in
            guard let pointer = bytes.assumingMemoryBound(to: sockaddr.self).baseAddress else { return 0 }
            guard bind(descriptors[0], pointer, length) == 0, listen(descriptors[0], isFull ? 0 : 4) == 0 else {
                return 0
            }
            getsockname(descriptors[0], pointer, &length)
            // Linux keeps one connection more than it was asked to.
            guard !isFull || connect(descriptors[1], pointer, length) == 0 else { return 0 }
            return Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
        }
        try #require(port > 0)
        return (descriptors, port)
    }

    @Test func whatIsNoBrokerIsGivenUp() async throws {
        let (descriptors, port) = try Self.silentListener(isFull: false)
        defer { for descriptor in descriptors { close(descriptor) } }
        var configuration = MQTTConfiguration(address: .tcp(host: "127.0.0.1", port: port))
        configuration.connectTimeout = .milliseconds(300)
        let client = try MQTTClient(configuration)
        let error = await #expect(throws: MQTTError.self) { try await client.connect() }
        #expect(error?.description.contains("did not answer") == true)
        await client.close()
    }

    @Test func aCancelledConnectReturnsAtOnce() async throws {
        // Nobody answers there, ever (RFC 5737).
        let client = try MQTTClient(.init(address: .tcp(host: "192.0.2.1", port: 1883)))
        let connecting = Task { try await client.connect() }
        for await state in client.connectionStates { if state == .connecting { break } }
        connecting.cancel()
        await #expect(throws: MQTTError.self) { try await connecting.value }
        await client.close()
    }

    @Test func closingTwiceAndUsingAClosedClientIsHarmless() async throws {
        let broker = try TestBroker()
        let client = try await broker.connect()
        await client.close()
        await client.close()
        await #expect(throws: MQTTError.self) { try await client.publish([1], to: "x") }
        await #expect(throws: MQTTError.self) { try await client.publish([1], to: "x", qos: .atLeastOnce) }
        await #expect(throws: MQTTError.self) { _ = try await client.subscribe(to: "x") }
        await #expect(throws: MQTTError.self) { try await client.connect() }
    }

    @Test func aCancelledPublishReturns() async throws {
        var broker: TestBroker? = try TestBroker()
        let client = try #require(try await broker?.connect())
        let states = client.connectionStates
        broker = nil
        for await state in states { if case .waiting = state { break } }
        let waiting = Task { try await client.publish([1], to: "x", qos: .atLeastOnce) }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        await client.close()
        _ = broker
    }

    @Test func tlsWithUsersAndAnAuthorityOfItsOwn() async throws {
        let folder = "/tmp/lcp-test-\(UUID().uuidString.prefix(8))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let port = try BrokerProcess.freePort(host: "127.0.0.1")
        let script = Repository.root.appendingPathComponent("Brokers/tls/start.sh").path
        let broker = try ChildProcess(
            executable: "/bin/sh", arguments: [script, "--port", "\(port)", "--data", folder], errorOutput: .discarded)
        defer { broker.stop() }
        func configuration(user: String, password: String? = nil, trusts: Bool = true) throws -> MQTTConfiguration {
            var configuration = MQTTConfiguration(address: .tls(host: "localhost", port: port))
            configuration.user = user
            configuration.password =
                try password
                ?? String(contentsOfFile: "\(folder)/passwords/\(user)", encoding: .utf8).trimmingCharacters(
                    in: .newlines)
            configuration.tls.certificateAuthorityFile = trusts ? "\(folder)/ca.crt" : nil
            return configuration
        }
        var client: MQTTClient?
        for _ in 0..<1000 where client == nil {
            try #require(broker.poll() == nil, "the broker ended")
            if let candidate = try? MQTTClient(configuration(user: "operator")), (try? await candidate.connect()) != nil
            {
                client = candidate
            } else {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        let connected = try #require(client)
        let messages = try await connected.subscribe(to: "lcp/x/input/+")
        try await connected.publish([UInt8](repeating: 1, count: 100_000), to: "lcp/x/input/cam")
        #expect(try await next(messages).payload.count == 100_000)
        await #expect(throws: MQTTError.self) { try await connected.publish([1], to: "elsewhere", qos: .atLeastOnce) }
        await connected.close()

        let stranger = try MQTTClient(configuration(user: "operator", trusts: false))
        let untrusted = await #expect(throws: MQTTError.self) { try await stranger.connect() }
        #expect(
            untrusted?.description.contains("certificate is not trusted") == true, "\(untrusted?.description ?? "")")
        let guesser = try MQTTClient(configuration(user: "operator", password: "wrong"))
        let refused = await #expect(throws: MQTTError.self) { try await guesser.connect() }
        #expect(refused?.code == .refused)
    }

    @Test("A client whose node is killed goes on with another, and one that is there is found behind one that is not")
    func nodes() async throws {
        let brokers = [try TestBroker(), try TestBroker()]
        let nobody = try BrokerProcess.freePort(host: "127.0.0.1")
        let addresses = try MQTTAddress.list(
            "mqtt://127.0.0.1:\(nobody)," + brokers.map { "127.0.0.1:\($0.broker.port)" }.joined(separator: ","))
        let client = try MQTTClient(MQTTConfiguration(addresses: addresses).atFirstNode)
        try await client.connect()
        #expect(client.address == addresses[1])
        let messages = try await client.subscribe(to: "a")
        let states = client.connectionStates
        kill(brokers[0].broker.process.processID, SIGKILL)
        var hasWaited = false
        for await state in states {
            if case .waiting = state { hasWaited = true }
            if hasWaited, state == .connected { break }
        }
        #expect(client.address == addresses[2])
        try await client.publish([1], to: "a", qos: .atLeastOnce)
        #expect(try await next(messages).payload == [1])
        await client.close()

        brokers[1].broker.process.stop()
        let lonely = try MQTTClient(MQTTConfiguration(addresses: addresses))
        let error = await #expect(throws: MQTTError.self) { try await lonely.connect() }
        #expect(error?.description.hasPrefix("none of the cluster's 3 nodes can be used, the last because") == true)
    }
}
