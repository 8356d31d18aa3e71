import Platform
import Testing

@testable import FaultInjection

@Suite struct SplitterTests {
    /// Feeds a stream in pieces by chance.
    private func split(
        _ stream: [UInt8], _ random: inout SeededGenerator, largest: Int, limit: Int = 1 << 20,
        direction: Direction = .toBroker
    ) -> [MQTTFrameSplitter.Piece] {
        var splitter = MQTTFrameSplitter(direction, maximumPacketBytes: limit)
        var pieces: [MQTTFrameSplitter.Piece] = []
        var position = 0
        while position < stream.count {
            let count = min(stream.count - position, 1 + random.index(largest))
            stream[position..<position + count].withUnsafeBytes { splitter.append($0) }
            position += count
            while let piece = splitter.next() { pieces.append(piece) }
            #expect(splitter.count <= limit + largest)
        }
        let rest = splitter.takeRest()
        return rest.isEmpty ? pieces : pieces + [.bytes(rest)]
    }

    private func joined(_ pieces: [MQTTFrameSplitter.Piece]) -> [UInt8] {
        pieces.flatMap { piece in
            switch piece {
            case .packet(let bytes), .bytes(let bytes): bytes
            }
        }
    }

    @Test func anyChunkingGivesTheSamePackets() {
        var random = SeededGenerator(seed: 1)
        for _ in 0..<100 {
            var packets = [Packet.connect("client")]
            for _ in 0..<random.index(30) {
                let size = [0, 5, 120, 130, 16_380, 40_000][random.index(6)]
                packets.append(Packet.publish("a/b", random.bytes(size), qos: UInt8(random.index(3))))
                if random.index(3) == 0 { packets.append(Packet.ping) }
            }
            let stream = packets.flatMap { $0 }
            for largest in [1, 7, 1000, 100_000] where largest > 1 || stream.count < 20_000 {
                #expect(split(stream, &random, largest: largest) == packets.map { .packet($0) })
            }
        }
    }

    @Test func aPacketAboveTheLimitPassesInPieces() {
        var random = SeededGenerator(seed: 2)
        let large = Packet.publish("large", random.bytes(50_000))
        let stream = Packet.connect("c") + Packet.ping + large + Packet.ping
        for largest in [1, 100, 60_000] {
            let pieces = split(stream, &random, largest: largest, limit: 10_000)
            #expect(joined(pieces) == stream)
            #expect(pieces.first == .packet(Packet.connect("c")) && pieces.last == .packet(Packet.ping))
            #expect(pieces.filter { if case .packet = $0 { true } else { false } }.count == 3)
        }
    }

    @Test func whatIsNoMQTTPassesAsItIs() {
        var random = SeededGenerator(seed: 3)
        // TLS, HTTP, an answer before anything was asked.
        for start in [[0x16, 3, 1, 2, 0], Array("GET / HTTP/1.1".utf8), [0x20, 2, 0, 0]] as [[UInt8]] {
            let stream = start + random.bytes(3000)
            let pieces = split(stream, &random, largest: 100)
            #expect(joined(pieces) == stream)
            #expect(!pieces.contains { if case .packet = $0 { true } else { false } })
        }
        // A length of five bytes ends it.
        let broken = Packet.connect("c") + [0x30, 0x80, 0x80, 0x80, 0x80, 1] + random.bytes(100)
        let pieces = split(broken, &random, largest: 9)
        #expect(joined(pieces) == broken && pieces.first == .packet(Packet.connect("c")))
    }

    @Test func randomBytesLoseNothing() {
        var random = SeededGenerator(seed: 4)
        for round in 0..<500 {
            let start: [UInt8] = round % 2 == 0 ? [0x10] : [0x20]
            let stream = start + random.bytes(random.index(600))
            let direction: Direction = round % 3 == 0 ? .fromBroker : .toBroker
            #expect(joined(split(stream, &random, largest: 50, limit: 300, direction: direction)) == stream)
        }
    }
}

@Suite struct PacketTests {
    @Test(arguments: [4, 5] as [UInt8], [0, 1, 2] as [UInt8])
    func aMessageIsRead(version: UInt8, qos: UInt8) throws {
        let bytes = Packet.publish(
            "a/ü", [1, 2, 3], qos: qos, identifier: 700, alias: version == 5 ? 9 : nil, version: version)
        let packet = try #require(PublishPacket(bytes, version: version))
        #expect(packet.topic == "a/ü" && packet.qos == qos && packet.packetIdentifier == (qos > 0 ? 700 : nil))
        #expect(packet.topicAlias == (version == 5 ? 9 : nil) && !packet.isRetained)
        #expect(Array(bytes[packet.payloadOffset...]) == [1, 2, 3] && packet.byteCount == bytes.count)
    }

    @Test func allPropertiesArePassedOver() throws {
        let properties: [UInt8] =
            [0x01, 1, 0x02, 0, 0, 0, 9] + [0x03] + Packet.text("text/plain") + [0x08] + Packet.text("answer") + [0x09]
            + Packet.text("id") + [0x0B, 0x80, 1] + [0x26] + Packet.text("a") + Packet.text("b") + [0x23, 1, 2]
        let bytes = Packet.make(0x31, Packet.text("t") + [UInt8(properties.count)] + properties + [7])
        let packet = try #require(PublishPacket(bytes, version: 5))
        #expect(packet.topicAlias == 0x102 && packet.isRetained && packet.payloadOffset == bytes.count - 1)
    }

    @Test func malformedMessagesAreNone() {
        let whole = Packet.publish("topic", [1, 2], qos: 1, alias: 3)
        for count in 0..<whole.count { #expect(PublishPacket(Array(whole[..<count]), version: 5) == nil) }
        // QoS 3, a topic longer than the packet, an unknown property, alias 0, another packet.
        for bytes in [
            Packet.make(0x36, Packet.text("t") + [0, 1, 0]), Packet.make(0x30, [0xFF, 0xFF, 1]),
            Packet.make(0x30, Packet.text("t") + [2, 0x7F, 1]), Packet.make(0x30, Packet.text("t") + [3, 0x23, 0, 0]),
            Packet.make(0x30, Packet.text("t") + [9, 1]), Packet.ping, [],
        ] { #expect(PublishPacket(bytes, version: 5) == nil) }
        var random = SeededGenerator(seed: 5)
        for _ in 0..<20_000 {
            var bytes = random.bytes(random.index(40))
            if !bytes.isEmpty { bytes[0] = 0x30 | UInt8(random.index(16)) }
            _ = PublishPacket(bytes, version: random.index(2) == 0 ? 4 : 5)
            _ = ConnectPacket([0x10] + bytes)
        }
    }

    @Test(arguments: [4, 5, 0x84] as [UInt8])
    func aClientTellsItsName(version: UInt8) {
        let packet = ConnectPacket(Packet.connect("lcp-demo-worker-w1", version: version))
        #expect(packet?.clientID == "lcp-demo-worker-w1" && packet?.version == version & 0x7F)
    }
}
