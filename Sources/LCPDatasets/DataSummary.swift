/// What is in a data set: for people who look before they train.
public struct DataSummary: Sendable, Hashable, Encodable {
    public var data: String
    /// Height, width and channels, of a folder's pictures without these; nil where the images have many sizes.
    public var size: [Int]?
    public var classes: [String]
    /// The number of images of each class to train on.
    public var training: [Int]
    /// And those of the test set; nil where there is none, or as many as one likes.
    public var test: [Int]?
    /// Pictures that cannot be read, a sentence for each: training leaves them out.
    public var leftOut: [String] = []
    /// What is odd about the others, a sentence for each kind.
    public var notes: [String] = []

    enum CodingKeys: String, CodingKey {
        case data, size, classes, training, test, notes
        case leftOut = "left_out"
    }

    /// Reads a data set, every picture of it.
    ///
    /// - Parameter progress: called with the part that is done, 0 to 1.
    /// - Throws: ``DatasetError``; `CancellationError` where the task is cancelled.
    public init(_ specification: DataSpecification, progress: (Double) -> Void = { _ in }) throws {
        data = specification.name
        if case .folder(let folder) = specification {
            let images = try ClassFolder.training(folder)
            classes = images.classes
            training = images.imagesPerClass
            let others = specification.hasTestSet ? try ClassFolder.evaluation(folder) : nil
            classes += others?.classes.filter { !images.classes.contains($0) } ?? []
            training += Array(repeating: 0, count: classes.count - training.count)
            if let others { test = classes.map { others.count(of: $0) } }
            let own = images.inOrder.map { ($0.path, $0.class, false) }
            let files = own + (others?.inOrder.map { ($0.path, $0.class, true) } ?? [])
            var (sizes, noted) = (Set<[Int]>(), PictureNotes())
            for (index, (file, name, isTest)) in files.enumerated() {
                try Task.checkCancellation()
                progress(Double(index) / Double(files.count))
                do throws(DatasetError) {
                    let (size, notes) = try ImageFolder.check(file)
                    sizes.insert([size.height, size.width])
                    noted.add(notes, file)
                } catch {
                    leftOut.append(error.description)
                    guard let label = classes.firstIndex(of: name) else { continue }
                    if isTest { test?[label] -= 1 } else { training[label] -= 1 }
                }
            }
            size = sizes.count == 1 ? sizes.first : nil
            notes = noted.sentences(background: 255)
            return
        }
        if case .sounds(let folder) = specification {
            let sounds = try SoundFolder.classes(folder, isTest: false)
            (classes, training) = (sounds.classes, sounds.imagesPerClass)
            let others = specification.hasTestSet ? try SoundFolder.classes(folder, isTest: true) : nil
            if let others { test = classes.map { others.count(of: $0) } }
            leftOut = try SoundFolder.unreadable(
                sounds.inOrder.map(\.path) + (others?.inOrder.map(\.path) ?? []), progress)
            return
        }
        let images = try specification.trainingSet(seed: 1)
        size = [images.height, images.width, images.channels]
        notes = images.notes
        let names = try specification.classNames()
        training = images.imagesPerClass(classes: names?.count ?? 0)
        classes = names ?? training.indices.map { "\($0)" }
        if case .drawn = specification { return }
        if specification.hasTestSet {
            test = try specification.evaluationSet(seed: 1).imagesPerClass(classes: classes.count)
        }
    }
}
