import Glibc

/// Bytes that are read a piece at a time: of a file, or in memory.
///
/// A file is read at a position and never mapped, so that one that shrinks meanwhile is an error and not a signal.
final class ByteSource {
    /// How many there are.
    let count: Int
    /// What errors call it.
    let name: String
    private let memory: [UInt8]
    private let descriptor: Int32

    init(_ bytes: [UInt8], name: String) {
        (count, memory, descriptor, self.name) = (bytes.count, bytes, -1, name)
    }

    /// Opens an ordinary file.
    ///
    /// - Throws: ``ONNXError`` with the system's reason.
    init(path: String) throws(ONNXError) {
        // A pipe would be waited for.
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        (memory, name) = ([], path)
        guard descriptor >= 0 else {
            count = 0
            throw ONNXError("cannot read \(path): \(String(cString: strerror(errno)))")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            count = 0
            throw ONNXError("cannot read \(path): it is not an ordinary file")
        }
        count = Int(status.st_size)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Fills `target` with the bytes from `offset` on; the caller has seen that they are within ``count``.
    ///
    /// - Throws: ``ONNXError`` where the file has changed or the disk fails.
    func read(at offset: Int, into target: UnsafeMutableRawBufferPointer) throws(ONNXError) {
        guard descriptor >= 0 else {
            memory.withUnsafeBytes {
                target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + target.count]))
            }
            return
        }
        var done = 0
        while done < target.count {
            let read = pread(descriptor, target.baseAddress! + done, target.count - done, off_t(offset + done))
            if read < 0, errno == EINTR { continue }
            guard read >= 0 else { throw ONNXError("cannot read \(name): \(String(cString: strerror(errno)))") }
            guard read > 0 else { throw ONNXError("\(name) became shorter while it was read: try again") }
            done += read
        }
    }

    /// The bytes of a range within ``count``.
    func read(_ range: Range<Int>) throws(ONNXError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        do {
            try bytes.withUnsafeMutableBytes { try read(at: range.lowerBound, into: $0) }
        } catch let error as ONNXError {
            throw error
        } catch {
            throw ONNXError("cannot read \(name): \(error)")
        }
        return bytes
    }
}
