import Images

/// What is odd about many pictures: of each kind how many there are, and the first.
struct PictureNotes {
    private var found: [ImageNotes: (first: String, count: Int)] = [:]

    mutating func add(_ notes: ImageNotes, _ file: String) {
        for note in ImageNotes.all where notes.contains(note) {
            found[note, default: (file, 0)].count += 1
        }
    }

    /// A sentence for each kind.
    func sentences(background: UInt8) -> [String] {
        ImageNotes.all.compactMap { note in
            found[note].map { first, count in
                "\(first) \(count > 1 ? "and \(count - 1) more are" : "is") \(note.words(background: background))"
            }
        }
    }
}
