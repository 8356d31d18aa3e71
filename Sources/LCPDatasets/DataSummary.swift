/// What is in a data set: for people who look before they train.
public struct DataSummary: Sendable, Hashable, Encodable {
    public var data: String
    /// Height, width and channels; nil where the images have many sizes.
    public var size: [Int]?
    public var classes: [String]
    /// The number of images of each class to train on.
    public var training: [Int]
    /// And those of the test set; nil where there is none, or as many as one likes.
    public var test: [Int]?

    /// Reads a data set, and of an image folder only the names.
    ///
    /// - Throws: ``DatasetError``; `CancellationError` where the task is cancelled.
    public init(_ specification: DataSpecification) throws {
        data = specification.name
        if case .folder(let folder) = specification {
            let images = try ClassFolder.training(folder)
            classes = images.classes
            training = images.imagesPerClass
            test = specification.hasTestSet ? try ClassFolder.evaluation(folder).imagesPerClass : nil
            return
        }
        let images = try specification.trainingSet(seed: 1)
        size = [images.height, images.width, images.channels]
        let names = try specification.classNames()
        training = images.imagesPerClass(classes: names?.count ?? 0)
        classes = names ?? training.indices.map { "\($0)" }
        if case .drawn = specification { return }
        if specification.hasTestSet {
            test = try specification.evaluationSet(seed: 1).imagesPerClass(classes: classes.count)
        }
    }
}
