import HostileInputs
import Tensors

/// Inputs for what reads files.
extension Seeds {
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

    static let records: [[UInt8]] =
        common
        + [
            "# a.tar.gz MD5 0123\n" + String(repeating: "0", count: 64) + "  a.bin\n", "# a MD5 b", "#  MD5 ",
            String(repeating: "0", count: 64) + "  a\n",
        ].map { Array($0.utf8) }

    // MARK: Models

    static func manifests(_ fixtures: Fixtures) -> [[UInt8]] {
        fixtures.files("manifests", ".json")
    }
}
