import Glibc
import Images
import LCPWire

/// Frames from standard input: raw ones, one right behind the other, or JPEGs (MJPEG), which its first bytes tell.
struct StandardInput {
    enum Frame {
        case raw([UInt8])
        case picture([UInt8])
    }

    private enum Kind {
        case unknown, raw, pictures
    }

    private var kind = Kind.unknown
    private var bytes: [UInt8] = []
    private var pictures = PictureStream()
    private var isOver = false
    /// So many bytes tell what comes.
    private static let signature = 12

    init() {}

    /// The next frame; nil at the end, and where the task is cancelled. It may block.
    ///
    /// - Parameter size: bytes of a raw frame.
    /// - Throws: ``PipelineError`` where standard input is something else, or ends inside a frame.
    mutating func read(_ size: Int) throws -> Frame? {
        var chunk = [UInt8](repeating: 0, count: max(65_536, size))
        while !Task.isCancelled {
            if let frame = try take(size) { return frame }
            if isOver { return try end(size) }
            var descriptor = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            let ready = poll(&descriptor, 1, 100)
            if ready == 0 || ready < 0 && errno == EINTR { continue }
            let count = Glibc.read(STDIN_FILENO, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw PipelineError(.unreadableInput, "cannot read standard input: \(String(cString: strerror(errno)))")
            }
            if count == 0 { isOver = true } else { add(chunk[..<count]) }
        }
        return nil
    }

    mutating func add(_ more: some Sequence<UInt8>) {
        if kind == .pictures { pictures.add(more) } else { bytes += more }
    }

    /// What has come whole.
    mutating func take(_ size: Int) throws -> Frame? {
        if kind == .unknown, isOver || bytes.count >= Self.signature { try recognise() }
        switch kind {
        case .unknown: return nil
        case .pictures: return pictures.next().map(Frame.picture)
        case .raw:
            guard bytes.count >= size else { return nil }
            defer { bytes.removeFirst(size) }
            return .raw(Array(bytes[..<size]))
        }
    }

    private mutating func recognise() throws {
        if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
            kind = .pictures
            pictures.add(bytes)
            bytes = []
            return
        }
        if let name = Self.otherName(bytes) {
            throw PipelineError(
                .unreadableInput,
                "standard input is \(name), and neither raw frames nor MJPEG: let ffmpeg write one of those, for example ffmpeg -i … -f mjpeg -"
            )
        }
        kind = .raw
    }

    /// What is certainly no row of pixels.
    static func otherName(_ bytes: [UInt8]) -> String? {
        func has(_ text: String, at offset: Int = 0) -> Bool { bytes.dropFirst(offset).starts(with: text.utf8) }
        if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A]) { return "a PNG" }
        if has("GIF87a") || has("GIF89a") { return "a GIF" }
        if has("RIFF"), has("AVI ", at: 8) { return "an AVI video" }
        if has("RIFF"), has("WEBP", at: 8) { return "a WebP picture" }
        if has("ftyp", at: 4) { return "an MP4 video" }
        if bytes.starts(with: [0x1A, 0x45, 0xDF, 0xA3]) { return "a Matroska or WebM video" }
        if bytes.starts(with: [0, 0, 0, 1, 0x67]) || bytes.starts(with: [0, 0, 0, 1, 0x40]) {
            return "an H.264 or H.265 stream"
        }
        if has("YUV4MPEG2") { return "a YUV4MPEG2 video" }
        return nil
    }

    private func end(_ size: Int) throws -> Frame? {
        if !bytes.isEmpty {
            throw PipelineError(
                .unreadableInput,
                "standard input ended inside a frame: \(bytes.count) of the \(size) bytes; check --shape")
        }
        if pictures.isInside { throw PipelineError(.unreadableInput, "standard input ended inside a picture") }
        return nil
    }
}
