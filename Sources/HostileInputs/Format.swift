import CZlib

/// What a mutation should know of a format, so that not every input fails at the first check.
public enum Format: Sendable {
    case plain, text, json, message, safetensors, png, tar, onnx

    /// Words that a mutation puts in.
    public var words: [String] {
        switch self {
        case .plain, .message, .png, .tar: []
        case .onnx:
            [
                "Conv", "Gemm", "Add", "Reshape", "Transpose", "Concat", "Clip", "MaxPool", "\u{8}\u{1}", "pads",
                "axes",
                "location", "../", "\u{9B}",
            ]
        case .text: ["#", " ", "\n", "MD5", "\u{9B}"]
        case .json, .safetensors:
            [
                "{", "}", "[", "]", ",", ":", "\"", "\\", "null", "true", "-", "-1", "0", "-0", "1e400", "1e-400",
                "1.5", "9223372036854775807", "9223372036854775808", "18446744073709551616", "-9223372036854775809",
                "4294967296", "\\u0000", "\\u001b", "\\ud800", "\\u202e", "\\u0085", "\"\"", "{}", "[]", "__metadata__",
                "1e15", "1048576", "65536", "0.1", "NaN", "Infinity",
            ]
        }
    }

    /// Makes lengths and checksums right again, so that what lies behind them is reached.
    public func repair(_ bytes: inout [UInt8]) {
        switch self {
        case .plain, .text, .json, .onnx: break
        case .message:
            guard bytes.count >= 128 else { return }
            bytes.replaceSubrange(12..<16, with: [0, 0, 0, 0])
            let checksum = Self.checksum(bytes[..<(bytes[4] == 2 && bytes.count >= 160 ? 160 : 128)])
            withUnsafeBytes(of: checksum.littleEndian) { bytes.replaceSubrange(12..<16, with: $0) }
        case .safetensors:
            // The header ends where its braces do.
            guard bytes.count > 8, let end = Self.endOfObject(bytes[8...]) else { return }
            withUnsafeBytes(of: UInt64(end - 8).littleEndian) { bytes.replaceSubrange(0..<8, with: $0) }
        case .png:
            var position = 8
            while position + 12 <= bytes.count {
                let length = bytes[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
                guard length <= bytes.count - position - 12 else { return }
                let checksum = Self.checksum(bytes[position + 4..<position + 8 + length])
                let place = position + 8 + length
                withUnsafeBytes(of: checksum.bigEndian) { bytes.replaceSubrange(place..<place + 4, with: $0) }
                position = place + 4
            }
        case .tar:
            for start in stride(from: 0, to: bytes.count - 511, by: 512) where bytes[start + 257] == UInt8(ascii: "u") {
                bytes.replaceSubrange(start + 148..<start + 156, with: [UInt8](repeating: 32, count: 8))
                let sum = bytes[start..<start + 512].reduce(0) { $0 + Int($1) }
                let digits = String(sum, radix: 8)
                let field = String(repeating: "0", count: 6 - digits.count) + digits + "\0 "
                bytes.replaceSubrange(start + 148..<start + 156, with: field.utf8)
            }
        }
    }

    package static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.withUnsafeBufferPointer { UInt32(crc32_z(0, $0.baseAddress, $0.count)) }
    }

    private static func endOfObject(_ bytes: ArraySlice<UInt8>) -> Int? {
        var depth = 0
        var (isQuoted, isEscaped) = (false, false)
        for index in bytes.indices {
            let byte = bytes[index]
            if isQuoted {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isQuoted = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isQuoted = true
            case UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "}"):
                depth -= 1
                if depth == 0 { return index + 1 }
            default: break
            }
        }
        return nil
    }
}
