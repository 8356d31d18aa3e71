/// How much memory this machine can still give.
package enum SystemMemory {
    /// Bytes that programs can get without swapping, as Linux estimates them; nil where nobody tells.
    package static var available: Int? {
        guard let text = try? FileIO.read("/proc/meminfo", limit: 1 << 20),
            let line = String(decoding: text, as: UTF8.self).split(separator: "\n")
                .first(where: { $0.hasPrefix("MemAvailable:") }),
            let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else { return nil }
        return kibibytes * 1024
    }
}
