import Platform

@testable import FaultInjection

/// MQTT packets for tests.
enum Packet {
    static func make(_ first: UInt8, _ body: [UInt8]) -> [UInt8] {
        var bytes = [first]
        var left = body.count
        repeat {
            bytes.append(UInt8(left % 128) | (left >= 128 ? 0x80 : 0))
            left /= 128
        } while left > 0
        return bytes + body
    }

    static func text(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        return [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes
    }

    static func connect(_ client: String, version: UInt8 = 5) -> [UInt8] {
        make(0x10, text("MQTT") + [version, 2, 0, 15] + (version == 5 ? [5, 0x11, 0, 0, 0, 9] : []) + text(client))
    }

    static let connack: [UInt8] = make(0x20, [0, 0, 0])
    static let ping: [UInt8] = [0xC0, 0]
    static let disconnect: [UInt8] = [0xE0, 0]

    static func publish(
        _ topic: String, _ payload: [UInt8], qos: UInt8 = 0, identifier: UInt16 = 1, alias: UInt16? = nil,
        version: UInt8 = 5
    ) -> [UInt8] {
        var body = text(topic)
        if qos > 0 { body += [UInt8(identifier >> 8), UInt8(identifier & 0xFF)] }
        if version == 5 {
            let properties = alias.map { [0x23, UInt8($0 >> 8), UInt8($0 & 0xFF)] as [UInt8] } ?? []
            body += [UInt8(properties.count)] + properties
        }
        return make(0x30 | qos << 1, body + payload)
    }

    static func acknowledge(_ identifier: UInt16) -> [UInt8] {
        [0x40, 2, UInt8(identifier >> 8), UInt8(identifier & 0xFF)]
    }
}

/// A connection without sockets, and the packets that came out of it.
struct TestConnection {
    var machine: FaultMachine
    var connection = FaultedConnection()
    var now = Duration.zero

    init(_ faults: [Fault] = [], seed: UInt64 = 1, client: String = "c", version: UInt8 = 5) {
        machine = FaultMachine(FaultPlan(seed: seed, faults: faults))
        put(Packet.connect(client, version: version))
        put(Packet.connack, .fromBroker)
        _ = take()
        _ = take(.fromBroker)
    }

    mutating func put(_ bytes: [UInt8], _ direction: Direction = .toBroker) {
        bytes.withUnsafeBytes { connection.receive($0, direction, at: now, &machine) }
    }

    /// All bytes that may go now.
    mutating func takeBytes(_ direction: Direction = .toBroker, bandwidth: Int? = nil) -> [UInt8] {
        var output: [UInt8] = []
        _ = connection.send(direction, at: now, bandwidth: bandwidth) {
            output += $0
            return $0.count
        }
        return output
    }

    /// All packets that may go now.
    mutating func take(_ direction: Direction = .toBroker) -> [[UInt8]] {
        TestConnection.split(takeBytes(direction))
    }

    static func split(_ bytes: [UInt8]) -> [[UInt8]] {
        // A stream starts with a connection, which these bytes come after.
        var splitter = MQTTFrameSplitter(.toBroker)
        (Packet.connect("x") + bytes).withUnsafeBytes { splitter.append($0) }
        var packets: [[UInt8]] = []
        while let piece = splitter.next() {
            switch piece {
            case .packet(let packet): packets.append(packet)
            case .bytes(let bytes): packets.append(bytes)
            }
        }
        return Array(packets.dropFirst())
    }
}

extension SeededGenerator {
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(index(256)) } }
}
