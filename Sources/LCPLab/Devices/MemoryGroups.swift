import Glibc
import LCPWire
import Platform

/// The control groups that limit the memory of a lab's devices, of version 1 or 2.
struct MemoryGroups: Sendable {
    private let root: String
    private let limitFile: String
    private let peakFile: String

    /// - Returns: nil where the system has none, or this process may not make any.
    init?() {
        if FileIO.exists("/sys/fs/cgroup/memory/memory.limit_in_bytes") {
            (root, limitFile, peakFile) = (
                "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"
            )
        } else if let controllers = try? FileIO.read("/sys/fs/cgroup/cgroup.subtree_control", limit: 4096),
            String(decoding: controllers, as: UTF8.self).split(whereSeparator: \.isWhitespace).contains("memory")
        {
            (root, limitFile, peakFile) = ("/sys/fs/cgroup", "memory.max", "memory.peak")
        } else {
            return nil
        }
        guard access(root, W_OK) == 0 else { return nil }
    }

    private func folder(_ group: String) -> String { "\(root)/\(group)" }

    /// The file that a process writes its number into, to be limited.
    func members(_ group: String) -> String { "\(folder(group))/cgroup.procs" }

    func make(_ group: String, mebibytes: Int) throws(PipelineError) {
        mkdir(folder(group), 0o755)
        // Files of the system's own are written in place.
        let path = "\(folder(group))/\(limitFile)"
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        let text = "\(mebibytes << 20)"
        guard descriptor >= 0, write(descriptor, text, text.utf8.count) == text.utf8.count else {
            throw PipelineError(
                .resources, "cannot limit memory through \(path): \(String(cString: strerror(errno)))")
        }
    }

    /// The most memory that a device's processes had at once, MiB.
    func peak(_ group: String) -> Double? {
        guard let bytes = try? FileIO.read("\(folder(group))/\(peakFile)", limit: 1 << 16) else { return nil }
        return Double(String(decoding: bytes, as: UTF8.self).filter(\.isNumber)).map { $0 / 0x1p20 }
    }

    /// The groups whose names begin so.
    func all(prefix: String) -> [String] { ((try? FileIO.list(root)) ?? []).filter { $0.hasPrefix(prefix) } }

    /// Takes a group away that has no processes any more.
    func remove(_ group: String) { rmdir(folder(group)) }
}
