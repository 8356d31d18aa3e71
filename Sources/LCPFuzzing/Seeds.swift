import CZlib
import Tensors

/// Inputs to begin with, by format: good ones, and hostile ones.
enum Seeds {
    /// What every parser has to refuse or survive.
    static let common: [[UInt8]] = [
        [], [0], Array("{".utf8), [UInt8](repeating: 0, count: 127), [UInt8](repeating: 0xFF, count: 128),
        [UInt8](repeating: 0, count: 784),
    ]

    // MARK: Tensor messages

    static func messages(_ fixtures: Fixtures) -> [[UInt8]] {
        var result = fixtures.files("messages", ".lcpt") + fixtures.files("messages/damaged", ".lcpt") + common
        guard let good = message(.uint8, [28, 28, 1]), let large = message(.uint8, [28, 28, 3]) else { return result }
        result += [good, large, Array(good.prefix(127)), Array(good.prefix(128)), good + [0], Array(good.dropLast())]
        for value in [Float.nan, .infinity, -.infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude] {
            if let message = message(.fp32, [28, 28], fill: value) { result.append(message) }
        }
        // Place, and what is put there.
        let fields: [(Int, [UInt8])] = [
            (4, [0]), (4, [2]), (5, [3]), (6, [0]), (6, [14]), (7, [0]), (7, [9]), (7, [255]), (8, [0, 128]),
            (8, [129, 0]), (10, [2, 0]), (10, [0xFF, 0xFF]), (10, [1, 0]), (12, [1, 2, 3, 4]),
            (16, [UInt8](repeating: 0xFF, count: 8)), (16, [0, 0, 0, 0, 0, 0, 0, 0x80]),
            (16, [0, 0, 0, 0x10, 0, 0, 0, 0]), (16, [0, 0, 0, 0, 0, 0, 3, 0x10]), (48, [1, 0]), (50, [1, 0]),
            (52, [1, 0, 0, 0]), (80, [UInt8](repeating: 0xFF, count: 32)), (80, [0, 0, 0, 0]), (92, [1, 0, 0, 0]),
            (80, [0, 0, 0, 28]), (40, [0, 0, 0, 0, 0, 0, 0, 0x80]), (32, [UInt8](repeating: 0xFF, count: 8)),
            (112, [0, 0, 0, 0x80]), (116, [1]), (127, [1]), (0, Array("TPCL".utf8)),
        ]
        for (place, field) in fields {
            var bytes = good
            bytes.replaceSubrange(place..<place + field.count, with: field)
            if place != 12 { Format.message.repair(&bytes) }
            result.append(bytes)
        }
        return result
    }

    private static func message(_ dtype: DType, _ shape: Shape, fill: Float = 0) -> [UInt8]? {
        let count = shape.elementCount ?? 0
        let tensor =
            dtype == .fp32
            ? try? Tensor([Float](repeating: fill, count: count), shape: shape)
            : try? Tensor(dtype: dtype, shape: shape, bytes: [UInt8](repeating: 7, count: count * dtype.size))
        return tensor.map {
            TensorMessage.encode(.init(kind: .input, dtype: dtype, shape: shape, session: 1, frame: 2), $0)
        }
    }

    // MARK: Safetensors

    static func safetensors(_ fixtures: Fixtures) -> [[UInt8]] {
        var result = common
        if let weight = try? Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3]),
            let bias = try? Tensor(dtype: .uint8, shape: [3], bytes: [7, 8, 9])
        {
            let file = Safetensors(tensors: ["layers.0.weight": weight, "b\"\\": bias], metadata: ["format": "pt"])
            let good = file.encoded()
            result += [good, good + [0], Array(good.dropLast()), Array(good.prefix(8)), Safetensors().encoded()]
            for claim in [UInt64.max, UInt64.max >> 1, 1 << 24, 0, 1] {
                result.append(withUnsafeBytes(of: claim.littleEndian) { Array($0) } + good.dropFirst(8))
            }
        }
        let entries = [
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            #"{"a":{"dtype":"F32","shape":[4294967295,4294967295,4294967295],"data_offsets":[0,4]}}"#,
            #"{"a":{"dtype":"F32","shape":[0,4294967295],"data_offsets":[0,0]}}"#,
            #"{"a":{"dtype":"F32","shape":[0],"data_offsets":[-4,4]}}"#,
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[9223372036854775807,9223372036854775807]}}"#,
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[]},"b":{"dtype":"F32","shape":[],"data_offsets":[]}}"#,
            #"{"a\u0085\u202e":{"dtype":"\u009b31m","shape":[1],"data_offsets":[0,4]}}"#,
            "{\"" + String(repeating: "a", count: 5000) + "\":{\"dtype\":\"X\",\"shape\":[1],\"data_offsets\":[0,4]}}",
            "{\"__metadata__\":{\"\\u001b\":\"\\u0000\"}}", "{\"__metadata__\":1}", "[]",
        ]
        for header in entries.map({ Array($0.utf8) }) + json(from: Array(entries[0].utf8)) {
            let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
            result.append(length + header + [0, 0, 0, 0])
        }
        return result
    }

    // MARK: ONNX

    /// Small ones, so that a mutation seldom hits a weight only.
    static func onnx(_ fixtures: Fixtures) -> [[UInt8]] {
        let files = fixtures.files("onnx", ".onnx").filter { $0.count < 4096 }
        return common + files + files.map { Array($0.prefix($0.count / 2)) } + [
            // Lengths that no file has, deep in the messages.
            [0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], [0x3A, 0x80, 0x80, 0x80, 0x80, 0x10],
            [0x3A, 4, 0x2A, 2, 0x4A, 0x7F], [0x08, 8, 0x42, 2, 0x10, 17, 0x3A, 2, 0x0A, 0], [0x3B, 0x3C],
            [UInt8](repeating: 0xFF, count: 12),
        ]
    }

    // MARK: Data files

    static let idx: [[UInt8]] =
        common + [
            [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1, 1, 2, 3, 4],
            [0, 0, 8, 1, 0, 0, 0, 2, 1, 9], [0, 0, 8, 3, 0, 0, 0, 2], [0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1],
            [0, 0, 8, 3] + [UInt8](repeating: 0xFF, count: 12),
            [0, 0, 8, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1, 0, 0, 0, 1],
            [0, 0, 13, 3], [0, 0, 8, 255], [0x1F, 0x8B, 8, 0],
        ]

    static let cifar: [[UInt8]] =
        common
        + [(3073, 3), (3074, 7), (6146, 9), (3073, 10), (3074, 255), (3072, 0)].map {
            [UInt8](repeating: $0.1, count: $0.0)
        }

    static let tar: [[UInt8]] = {
        let end = [UInt8](repeating: 0, count: 1024)
        let good = entry("folder/a.bin", size: "00000000003", data: [1, 2, 3])
        let sizes = ["77777777777", "-0000000001", "+0000000003", "           ", "7777777777777", "000000x0003"]
        return common + [good + end, good, Array((good + end).prefix(700)), end, good + good + end]
            + sizes.map { entry("a", size: $0, data: [1]) + end } + [
                entry("../../\u{9B}31m", size: "0", data: []) + end
            ]
    }()

    private static func entry(_ path: String, size: String, data: [UInt8]) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at place: Int) {
            for (offset, byte) in text.utf8.prefix(12).enumerated() { header[place + offset] = byte }
        }
        put(path, at: 0)
        put(size, at: 124)
        put("0", at: 156)
        put("ustar", at: 257)
        Format.tar.repair(&header)
        return header + data + [UInt8](repeating: 0, count: (512 - data.count % 512) % 512)
    }

    static let gzip: [[UInt8]] = {
        let good = compressed([UInt8](repeating: 65, count: 100), gzip: true)
        // A bomb: three kilobytes that hold three megabytes.
        let bomb = compressed([UInt8](repeating: 0, count: 3 << 20), gzip: true)
        return common + [good, bomb, good + good, good + [0], Array(good.dropLast()), Array(good.prefix(10))]
    }()

    /// What zlib makes of `bytes`, with gzip's frame or its own.
    static func compressed(_ bytes: [UInt8], gzip: Bool = false) -> [UInt8] {
        var stream = z_stream()
        let size = Int32(MemoryLayout<z_stream>.size)
        deflateInit2_(
            &stream, 9, Z_DEFLATED, MAX_WBITS + (gzip ? 16 : 0), 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size)
        defer { deflateEnd(&stream) }
        var (input, output) = (bytes, [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(bytes.count)))))
        let left = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                deflate(&stream, Z_FINISH)
                return Int(stream.avail_out)
            }
        }
        return Array(output.dropLast(left))
    }

    static let records: [[UInt8]] =
        common
        + [
            "# a.tar.gz MD5 0123\n" + String(repeating: "0", count: 64) + "  a.bin\n", "# a MD5 b", "#  MD5 ",
            String(repeating: "0", count: 64) + "  a\n",
        ].map { Array($0.utf8) }
}
