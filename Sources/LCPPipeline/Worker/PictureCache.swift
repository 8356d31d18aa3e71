import Glibc
import Images
import Synchronization

/// The pictures that a worker has decoded last: each of its branches gets the same frame, and one of them decodes it.
///
/// Any number of threads may ask; who asks for a picture that another thread is decoding waits for it.
final class PictureCache: Sendable {
    /// The pixels, UINT8, HWC, and what is odd about the file.
    typealias Picture = (pixels: [UInt8], notes: ImageNotes)

    /// What becomes of a picture.
    struct Request: Hashable {
        var size: ImageSize
        /// Whether the picture has to have that size; otherwise it is resized.
        var isExact: Bool
        var limits: ImageLimits
    }

    private final class Entry: Sendable {
        let bytes: [UInt8]
        let request: Request
        private let pixels = Mutex<Result<Picture, ImageError>?>(nil)
        private let decoded = Atomic<Bool>(false)
        /// Whether nobody is waiting for it any more.
        var isDecoded: Bool { decoded.load(ordering: .relaxed) }

        init(_ bytes: [UInt8], _ request: Request) {
            (self.bytes, self.request) = (bytes, request)
        }

        /// What the file and its pixels take.
        var size: Int { bytes.count + request.size.byteCount }

        func isOf(_ other: UnsafeRawBufferPointer, _ request: Request) -> Bool {
            guard bytes.count == other.count, self.request == request else { return false }
            return bytes.withUnsafeBytes { memcmp($0.baseAddress!, other.baseAddress!, other.count) == 0 }
        }

        func decoded(_ decode: () -> Result<Picture, ImageError>) throws(ImageError) -> Picture {
            try pixels.withLock { pixels in
                let result = pixels ?? decode()
                pixels = result
                self.decoded.store(true, ordering: .relaxed)
                return result
            }.get()
        }
    }

    private let entries = Mutex<[Entry]>([])
    private let decodings = Atomic<Int>(0)
    /// The newest so many are kept, as long as their files and pixels are no more than this together.
    private let maximumCount: Int
    private let maximumBytes: Int

    init(maximumCount: Int = 16, maximumBytes: Int = 16 << 20) {
        self.maximumCount = maximumCount
        self.maximumBytes = maximumBytes
    }

    /// How many pictures are kept, and what they take.
    var count: Int { entries.withLock { $0.count } }
    var byteCount: Int { entries.withLock { $0.reduce(0) { $0 + $1.size } } }
    /// How many have been decoded.
    var decodedCount: Int { decodings.load(ordering: .relaxed) }

    /// Decodes anew what is asked for from now on.
    func forgetAll() { entries.withLock { $0.removeAll(keepingCapacity: true) } }

    /// The pixels of a picture, UINT8, HWC.
    ///
    /// - Parameter bytes: a file, not empty; it is copied.
    func pixels(of bytes: UnsafeRawBufferPointer, _ request: Request) throws(ImageError) -> Picture {
        let entry = entries.withLock { entries -> Entry in
            if let known = entries.first(where: { $0.isOf(bytes, request) }) { return known }
            let entry = Entry(Array(bytes), request)
            entries.append(entry)
            var size = entries.reduce(0) { $0 + $1.size }
            // One that takes long is still there when it is decoded, however many short ones came meanwhile.
            while entries.count > maximumCount || size > maximumBytes,
                let index = entries.dropLast().firstIndex(where: \.isDecoded)
            {
                size -= entries.remove(at: index).size
            }
            return entry
        }
        return try entry.decoded {
            decodings.add(1, ordering: .relaxed)
            return entry.bytes.withUnsafeBytes { Self.decode($0, request) }
        }
    }

    private static func decode(
        _ bytes: UnsafeRawBufferPointer, _ request: Request
    ) -> Result<Picture, ImageError> {
        let size = request.size
        do throws(ImageError) {
            let (image, notes) =
                request.isExact
                ? try Image.decode(
                    bytes, channels: size.channels, size: .exactly(height: size.height, width: size.width),
                    background: size.background, limits: request.limits)
                : try Image.decode(bytes, to: size, limits: request.limits)
            return .success((image.pixels, notes))
        } catch {
            return .failure(error)
        }
    }
}
