import CZlib
import LCPWire
import Tensors

/// Inputs to begin with, by format: good ones, and hostile ones.
package enum Seeds {
    /// What every parser has to refuse or survive.
    package static let common: [[UInt8]] = [
        [], [0], Array("{".utf8), [UInt8](repeating: 0, count: 127), [UInt8](repeating: 0xFF, count: 128),
        [UInt8](repeating: 0, count: 784),
    ]

    // MARK: Tensor messages

    package static func messages(_ fixtures: Fixtures) -> [[UInt8]] {
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
        return result + pictureMessages(fixtures)
    }

    /// Messages with pictures inside: one that is right, and many whose picture is damaged, too large or another thing.
    private static func pictureMessages(_ fixtures: Fixtures) -> [[UInt8]] {
        let right = png(width: 28, height: 28, data: compressed([UInt8](repeating: 0, count: 28 * 29)))
        return ([right] + images(fixtures)).filter { !$0.isEmpty && $0.count <= 4096 }.flatMap { picture in
            [TensorMessageHeader.Encoding.png, .jpeg].map { encoding in
                let header = TensorMessageHeader(
                    kind: .input, dtype: .uint8, shape: [28, 28, 1], session: 1, frame: 2,
                    version2: .init(encoding: encoding))
                return TensorMessage.encode(header, data: picture)
            }
        }
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

    /// What zlib makes of `bytes`, with gzip's frame or its own.
    package static func compressed(_ bytes: [UInt8], gzip: Bool = false) -> [UInt8] {
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
}
