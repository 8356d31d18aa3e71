import Platform

/// What was fetched into a folder, kept there as a file that `sha256sum --check` reads, too.
package struct FetchRecord: Hashable {
    struct Entry: Hashable {
        /// The archive's name and digest.
        var archive: String
        var md5: String
        /// The SHA-256 of each file that came out of it.
        var files: [String: String]
    }

    static let fileName = "lcp-fetched.sha256"
    private static let maximumBytes = 1 << 20

    var entries: [Entry] = []

    /// Reads a folder's record; what is no record holds nothing.
    init(folder: String) {
        let bytes = (try? FileIO.read("\(folder)/\(Self.fileName)", limit: Self.maximumBytes)) ?? []
        self.init(String(decoding: bytes, as: UTF8.self))
    }

    package init(_ text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if words.count == 4, words[0] == "#", words[2] == "MD5" {
                entries.append(Entry(archive: words[1], md5: words[3], files: [:]))
            } else if words.count == 2, words[0].utf8.count == 64, !entries.isEmpty {
                entries[entries.count - 1].files[words[1]] = words[0]
            }
        }
    }

    package var text: String {
        entries.map { entry in
            "# \(entry.archive) MD5 \(entry.md5)\n"
                + entry.files.sorted { $0.key < $1.key }.map { "\($0.value)  \($0.key)\n" }.joined()
        }.joined()
    }

    /// Whether all files of an archive are in the folder, as they came out of it.
    func confirms(_ archive: DatasetSource.Archive, in folder: String) -> Bool {
        guard let entry = entries.first(where: { $0.md5 == archive.md5 }) else { return false }
        return archive.files.allSatisfy { file in
            guard let expected = entry.files[file], let bytes = try? FileIO.read("\(folder)/\(file)") else {
                return false
            }
            return SHA256.hex(bytes) == expected
        }
    }

    /// Whether a file came out of this archive, even where it is damaged now.
    func hasFile(_ file: String, from archive: DatasetSource.Archive) -> Bool {
        entries.contains { $0.md5 == archive.md5 && $0.files[file] != nil }
    }

    /// Whether a file came out of another archive.
    func hasFile(_ file: String, fromOtherThan archive: DatasetSource.Archive) -> Bool {
        entries.contains { $0.md5 != archive.md5 && $0.files[file] != nil }
    }

    mutating func add(_ archive: DatasetSource.Archive, digests: [String: String]) {
        entries.removeAll { $0.md5 == archive.md5 }
        entries.append(Entry(archive: archive.name, md5: archive.md5, files: digests))
    }

    func write(folder: String) throws(FileError) {
        try FileIO.write(Array(text.utf8), to: "\(folder)/\(Self.fileName)")
    }
}
