/// Tells of pictures that cannot be read and are left out, and of those that are odd.
enum LeftOut {
    /// Files that are named.
    private static let most = 5

    static func tell(notes: [String], of data: String) {
        for note in notes { writeErrorLine("\(data): \(note.printable)") }
    }

    static func tell(_ files: [String], of data: String) {
        guard !files.isEmpty else { return }
        writeErrorLine("\(data): \(files.count) picture\(files.count == 1 ? "" : "s") cannot be read and left out:")
        for file in files.prefix(most) { writeErrorLine("  \(file.printable)") }
        if files.count > most { writeErrorLine("  and \(files.count - most) more: lcp data show names all of them") }
    }
}
