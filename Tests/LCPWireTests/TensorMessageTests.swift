import Foundation
import LCPWire
import Platform
import Tensors
import Testing

private let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/messages")

private func decode(_ bytes: [UInt8]) throws(TensorMessageError) -> TensorMessageHeader {
    let result = bytes.withUnsafeBytes { message -> Result<TensorMessageHeader, TensorMessageError> in
        do throws(TensorMessageError) { return .success(try TensorMessage.decode(message)) } catch {
            return .failure(error)
        }
    }
    return try result.get()
}

@Suite struct TensorMessageTests {
    /// What the golden files hold, written by an implementation in another language.
    private struct Expected: Decodable {
        var kind: String
        var dtype: String
        var shape: [Int]
        var session: String
        var frame: String
        var capture_time: String
        var branch: UInt16
        var branch_count: UInt16
        var queue_us: UInt32
        var compute_us: UInt32
        var model: String
        var label: Int32
        var checksum: Bool
        var version: UInt8
        var encoding: String
        var scale: Float
        var wanted_branches: String
        var receive_time: String
        var send_time: String
        var decode_us: UInt32
        var encode_us: UInt32
        var data_hex: String
    }

    @Test func goldenFilesAreReadAndWrittenByteByByte() throws {
        let json = try Data(contentsOf: fixtures.appendingPathComponent("expected.json"))
        let all = try JSONDecoder().decode([String: Expected].self, from: json)
        #expect(all.count >= 9)
        for (name, expected) in all {
            let file = name.hasSuffix(".lcpt") ? name : name + ".lcpt"
            let bytes = Array(try Data(contentsOf: fixtures.appendingPathComponent(file)))
            let header = try decode(bytes)
            let kinds: [TensorMessageHeader.Kind: String] = [
                .input: "input", .features: "features", .partialLogits: "partial_logits",
            ]
            #expect(
                kinds[header.kind]
                    == expected.kind.replacingOccurrences(of: "-", with: "_").replacingOccurrences(of: " ", with: "_"))
            #expect(header.dtype.name == expected.dtype)
            #expect(header.shape.dimensions == expected.shape)
            #expect(String(header.session) == expected.session)
            #expect(String(header.frame) == expected.frame)
            #expect(String(header.captureTime) == expected.capture_time)
            #expect((header.branch, header.branchCount) == (expected.branch, expected.branch_count))
            #expect((header.queueTime, header.computeTime) == (expected.queue_us, expected.compute_us))
            #expect(header.model.description == expected.model)
            #expect(header.label == expected.label)
            #expect(header.version == expected.version)
            let version2 = header.version2 ?? .init()
            #expect("\(version2.encoding)" == expected.encoding && version2.scale == expected.scale)
            #expect(String(version2.wantedBranches) == expected.wanted_branches)
            #expect(String(version2.receiveTime) == expected.receive_time)
            #expect(String(version2.sendTime) == expected.send_time)
            #expect((version2.decodeTime, version2.encodeTime) == (expected.decode_us, expected.encode_us))
            let data = Array(bytes[header.size...])
            #expect(data.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == expected.data_hex)
            #expect(TensorMessage.encode(header, data: data, checksum: expected.checksum) == bytes, "\(name)")
        }
    }

    /// Every kind of damage, by the name of its counter.
    @Test func everyDamageIsToldByItsName() throws {
        for damage in TensorMessageError.allCases {
            let url = fixtures.appendingPathComponent("damaged/\(damage.rawValue).lcpt")
            let bytes = Array(try Data(contentsOf: url))
            #expect(throws: damage) { try decode(bytes) }
        }
    }

    /// A header, and data that fits it.
    static func random(_ random: inout SeededGenerator) throws -> (TensorMessageHeader, [UInt8]) {
        var dtype = DType.allCases[random.index(DType.allCases.count)]
        var dimensions = (0..<random.index(9)).map { _ in 1 + random.index(4) }
        let kind = TensorMessageHeader.Kind.allCases[random.index(3)]
        var version2: TensorMessageHeader.Extension?
        if random.index(2) == 0 {
            let isPicture = kind == .input && random.index(2) == 0
            if isPicture {
                (dtype, dimensions) = (.uint8, [1 + random.index(4), 1 + random.index(4), 1 + 2 * random.index(2)])
            }
            version2 = .init(
                encoding: isPicture ? [.png, .jpeg][random.index(2)] : .raw,
                scale: kind != .input && dtype == .int8 ? random.uniform(0.1, 9) : 0, wantedBranches: random.next(),
                receiveTime: Int64(bitPattern: random.next()), sendTime: Int64(bitPattern: random.next()),
                decodeTime: UInt32(truncatingIfNeeded: random.next()),
                encodeTime: UInt32(truncatingIfNeeded: random.next()))
        }
        let count = kind == .input ? 0 : UInt16(1 + random.index(64))
        let header = TensorMessageHeader(
            kind: kind, dtype: dtype, shape: try #require(Shape(dimensions)), session: random.next(),
            frame: random.next(), captureTime: Int64(bitPattern: random.next()),
            branch: count == 0 ? 0 : UInt16(random.index(Int(count))), branchCount: count,
            queueTime: UInt32(truncatingIfNeeded: random.next()),
            computeTime: UInt32(truncatingIfNeeded: random.next()),
            model: try #require(ModelHash((0..<16).map { _ in UInt8(random.index(256)) })),
            label: Int32(truncatingIfNeeded: random.next()), version2: version2)
        let size = header.encoding == .raw ? try #require(header.rawDataSize) : 1 + random.index(40)
        return (header, (0..<size).map { _ in UInt8(random.index(256)) })
    }

    @Test func whatIsWrittenIsRead() throws {
        var random = SeededGenerator(seed: 1)
        for round in 0..<1000 {
            let (header, data) = try Self.random(&random)
            let bytes = TensorMessage.encode(header, data: data, checksum: round % 2 == 0)
            #expect(try decode(bytes) == header)
            #expect(Array(bytes[(header.version2 == nil ? 128 : 160)...]) == data)
            #expect(bytes.withUnsafeBytes { TensorMessage.isPicture($0) } == (header.encoding != .raw))
        }
    }

    /// A changed byte is noticed; with the header's checksum made right again, whatever is read fits the payload.
    @Test func mutatedMessagesNeverSurpriseTheReader() throws {
        var random = SeededGenerator(seed: 2)
        for _ in 0..<4000 {
            let (header, data) = try Self.random(&random)
            var bytes = TensorMessage.encode(header, data: data, checksum: random.index(2) == 0)
            let place = random.index(header.size)
            bytes[place] ^= UInt8(1 + random.index(255))
            #expect(throws: TensorMessageError.self) { try decode(bytes) }
            for _ in 0..<random.index(4) { bytes[random.index(header.size)] = UInt8(random.index(256)) }
            if random.index(3) == 0 { bytes.removeLast(random.index(bytes.count)) }
            if random.index(3) == 0 { bytes += (0..<random.index(9)).map { _ in UInt8(random.index(256)) } }
            Self.repairChecksum(&bytes)
            if let read = try? decode(bytes) {
                if read.encoding == .raw { #expect(read.rawDataSize == bytes.count - read.size) }
                #expect(read.encoding == .raw || read.kind == .input && read.dtype == .uint8)
                #expect(read.kind == .input || read.branch < read.branchCount)
            }
        }
    }

    @Test("A number of a scaled message is the scale times the integer, so a scale is more than 0 and finite")
    func scalesAreChecked() throws {
        for scale in [0, -1, .nan, .infinity] as [Float] {
            let header = TensorMessageHeader(
                kind: .features, dtype: .int8, shape: [3], session: 1, frame: 1, branchCount: 1,
                version2: .init(scale: scale))
            let message = TensorMessage.encode(header, data: [1, 2, 3])
            #expect(throws: TensorMessageError.badScale) { try decode(message) }
        }
        let header = TensorMessageHeader(
            kind: .features, dtype: .fp16, shape: [1], session: 1, frame: 1, branchCount: 1, version2: .init(scale: 1))
        let message = TensorMessage.encode(header, data: [1, 2])
        #expect(throws: TensorMessageError.badScale) { try decode(message) }
    }

    @Test(
        "Features are no pictures, and pictures have one channel or three",
        arguments: [
            (TensorMessageHeader.Kind.features, DType.uint8, [2, 3, 3]), (.input, .fp32, [2, 3, 3]),
            (.input, .uint8, [2, 3, 2]), (.input, .uint8, [2]), (.input, .uint8, [1, 2, 3, 3]),
        ])
    func whatCannotBeAPictureIsRefused(kind: TensorMessageHeader.Kind, dtype: DType, shape: [Int]) throws {
        let shape = try #require(Shape(shape))
        let header = TensorMessageHeader(
            kind: kind, dtype: dtype, shape: shape, session: 1, frame: 1, branchCount: kind == .input ? 0 : 1,
            version2: .init(encoding: .jpeg))
        let message = TensorMessage.encode(header, data: [1])
        #expect(throws: TensorMessageError.badEncoding) { try decode(message) }
    }

    @Test func noiseIsNoMessage() {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<4000 {
            var bytes = (0..<random.index(400)).map { _ in UInt8(random.index(256)) }
            if bytes.count >= 4, random.index(2) == 0 { bytes.replaceSubrange(0..<4, with: Array("LCPT".utf8)) }
            #expect(throws: TensorMessageError.self) { try decode(bytes) }
        }
    }

    @Test func aReadersLimitIsKept() throws {
        let tensor = try Tensor(dtype: .uint8, shape: [1000], bytes: [UInt8](repeating: 0, count: 1000))
        let header = TensorMessageHeader(kind: .input, dtype: .uint8, shape: [1000], session: 1, frame: 1)
        let bytes = TensorMessage.encode(header, tensor)
        #expect(throws: TensorMessageError.tooLarge) {
            try bytes.withUnsafeBytes { _ = try TensorMessage.decode($0, maximumDataSize: 999) }
        }
    }

    /// CRC-32 as zlib has it, bit by bit and independent of it.
    static func repairChecksum(_ bytes: inout [UInt8]) {
        guard bytes.count >= 128 else { return }
        for index in 12..<16 { bytes[index] = 0 }
        var crc: UInt32 = .max
        for byte in bytes[..<(bytes[4] == 2 && bytes.count >= 160 ? 160 : 128)] {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        withUnsafeBytes(of: (~crc).littleEndian) { bytes.replaceSubrange(12..<16, with: $0) }
    }
}

@Suite struct ShapeTests {
    @Test func impossibleShapesAreNone() {
        #expect(Shape([1, -1]) == nil)
        #expect(Shape([1 << 32]) == nil)
        #expect(Shape(Array(repeating: 1, count: 9)) == nil)
        #expect(Shape(Array(repeating: Int(UInt32.max), count: 8))?.elementCount == nil)
        #expect(Shape([2, 3, 4])?.elementCount == 24)
        #expect(Shape([])?.elementCount == 1)
        #expect(Shape([28, 28, 1])?.description == "28×28×1")
    }
}

@Suite struct SafetensorsTests {
    static func file() throws -> Safetensors {
        Safetensors(
            tensors: [
                "layers.0.weight": try Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3]),
                "empty\"name\\": try Tensor(dtype: .uint8, shape: [3], bytes: [7, 8, 9]),
            ], metadata: ["format": "pt"])
    }

    @Test func whatIsWrittenIsRead() throws {
        let file = try Self.file()
        #expect(try Safetensors(decoding: file.encoded()) == file)
        #expect(try Safetensors(decoding: Safetensors().encoded()) == Safetensors())
    }

    static func bytes(_ header: String, data: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8)
            + [UInt8](repeating: 0, count: data)
    }

    @Test(arguments: [
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#, 4),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8),
        (#"{"a":{"dtype":"X","shape":[1],"data_offsets":[0,4]}}"#, 4),
        (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4),
        (#"{"a":{"dtype":"F32","shape":[4294967295,4294967295,4294967295],"data_offsets":[0,4]}}"#, 4), (#"[]"#, 0),
        ("", 0),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 5),
        (
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            4
        ),
    ])
    func filesThatLieAreRefused(header: String, data: Int) {
        #expect(throws: SafetensorsError.self) { try Safetensors(decoding: Self.bytes(header, data: data)) }
    }

    @Test func everyTruncationIsRefused() throws {
        let bytes = try Self.file().encoded()
        for count in 0..<bytes.count {
            #expect(throws: SafetensorsError.self) { try Safetensors(decoding: Array(bytes.prefix(count))) }
        }
        var huge = bytes
        for index in 0..<8 { huge[index] = 0xFF }
        #expect(throws: SafetensorsError.self) { try Safetensors(decoding: huge) }
    }

    @Test func randomDamageNeverCrashes() throws {
        let bytes = try Self.file().encoded()
        var random = SeededGenerator(seed: 6)
        for _ in 0..<5000 {
            var damaged = bytes
            for _ in 0..<1 + random.index(4) { damaged[random.index(bytes.count)] = UInt8(random.index(256)) }
            if let file = try? Safetensors(decoding: damaged) {
                for tensor in file.tensors.values { #expect(tensor.bytes.count <= bytes.count) }
            }
        }
    }
}
