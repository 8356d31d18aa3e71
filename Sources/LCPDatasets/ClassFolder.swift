import Platform

/// Labelled images as folders: one folder for each class, named like it, with pictures in it.
public struct ClassFolder: Sendable {
    /// The folder's path.
    public let path: String
    /// The names of the classes, sorted: the first is label 0.
    public let classes: [String]
    /// The files of each class.
    let files: [[String]]

    /// The most bytes of pixels that ``read(size:)`` puts into memory.
    static let maximumBytes = 8 << 30

    /// Lists a folder without reading its images. Folders in a class's folder belong to the class. Hidden files and folders, those
    /// called __MACOSX, and files beside the classes are left alone.
    ///
    /// - Throws: ``DatasetError`` where there are not 2 to 65,536 classes, or one has no image.
    public init(path: String) throws(DatasetError) {
        let classes = try Self.subfolders(path)
        guard classes.count >= 2 else {
            throw DatasetError(
                "\(path) has \(classes.isEmpty ? "no folder" : "only the folder \(classes[0])") in it: it needs one for each class, with its images"
            )
        }
        guard classes.count <= 65_536 else {
            throw DatasetError("\(path) has \(classes.count) folders in it, a class each: at most 65,536 are supported")
        }
        self.path = path
        self.classes = classes
        var files: [[String]] = []
        for name in classes {
            let found = try Self.pictures("\(path)/\(name)")
            // Names none, and says so.
            files.append(found.isEmpty ? try ImageFolder(path: "\(path)/\(name)").files : found)
        }
        self.files = files
    }

    /// How deep folders are entered: more than people have, and less than a circle of links.
    private static let deepest = 8

    /// The pictures in a folder and in those in it.
    private static func pictures(_ path: String, depth: Int = 0) throws(DatasetError) -> [String] {
        var result = (try? ImageFolder(path: path).files) ?? []
        guard depth < deepest else { return result }
        for name in try subfolders(path) { result += try pictures("\(path)/\(name)", depth: depth + 1) }
        return result
    }

    /// The number of images of each class.
    public var imagesPerClass: [Int] { files.map(\.count) }

    /// All files with their labels, one of each class in turn.
    public var inTurn: [(path: String, label: Int)] {
        (0..<(imagesPerClass.max() ?? 0)).flatMap { place in
            files.indices.filter { place < files[$0].count }.map { (files[$0][place], $0) }
        }
    }

    /// Reads all images at one size, class after class. Files that cannot be read are left out and named.
    ///
    /// - Throws: ``DatasetError`` where no file of a class can be read; `CancellationError` where the task is cancelled.
    public func read(size: ImageSize) throws -> LabeledImages {
        let total = imagesPerClass.reduce(0, +)
        guard total <= Self.maximumBytes / size.byteCount else {
            throw DatasetError(
                "\(path) has \(total) images, which at \(size) do not fit into \(Self.maximumBytes >> 30) GB: take fewer or smaller ones"
            )
        }
        var result = LabeledImages(height: size.height, width: size.width, channels: size.channels)
        result.pixels.reserveCapacity(total * size.byteCount)
        var noted = PictureNotes()
        for (label, files) in files.enumerated() {
            let before = (result.labels.count, result.leftOut.count)
            for file in files {
                try Task.checkCancellation()
                do throws(DatasetError) {
                    let (pixels, notes) = try ImageFolder.read(file, size: size)
                    noted.add(notes, file)
                    result.pixels += pixels
                    result.labels.append(UInt16(label))
                } catch {
                    result.leftOut.append(error.description)
                }
            }
            guard result.labels.count > before.0 else {
                throw DatasetError(
                    "no picture of the class \(classes[label]) can be read; the first: \(result.leftOut[before.1])")
            }
        }
        result.notes = noted.sentences(background: size.background)
        return result
    }

    // MARK: Training and test

    /// Whether `folder` holds `train`, and `test` or `val`, each with a folder for each class, in place of the classes.
    ///
    /// A class may be called `train`, too: then there are images in it and no folders.
    static func isDivided(_ folder: String) -> Bool {
        ((try? subfolders("\(folder)/train")) ?? []).isEmpty == false
    }

    /// The images to train on: those of `folder/train`, or all of `folder`.
    public static func training(_ folder: String) throws(DatasetError) -> ClassFolder {
        try ClassFolder(path: isDivided(folder) ? "\(folder)/train" : folder)
    }

    /// The images to evaluate on: those of `folder/test`, or of `folder/val` where there is no `test`, or all of `folder`.
    ///
    /// - Throws: ``DatasetError``, also where the classes are others than those to train on.
    public static func evaluation(_ folder: String) throws(DatasetError) -> ClassFolder {
        guard isDivided(folder) else { return try ClassFolder(path: folder) }
        guard let name = testFolder(folder) else {
            throw DatasetError("\(folder) has a folder train and neither test nor val: there is nothing to evaluate on")
        }
        let (training, test) = (try ClassFolder.training(folder), try ClassFolder(path: "\(folder)/\(name)"))
        let (known, found) = (Set(training.classes), Set(test.classes))
        for (missing, here, there) in [
            (known.subtracting(found), training.path, test.path), (found.subtracting(known), test.path, training.path),
        ] {
            if let first = missing.min() {
                throw DatasetError("\(here) has the class \(first), \(there) does not: both need the same folders")
            }
        }
        return test
    }

    /// The name of the folder in `folder` that holds the test set, where there is one.
    static func testFolder(_ folder: String) -> String? {
        isDivided(folder) ? ["test", "val"].first { FileIO.isFolder("\(folder)/\($0)") } : nil
    }

    private static func subfolders(_ path: String) throws(DatasetError) -> [String] {
        do {
            return try FileIO.list(path).filter {
                !$0.hasPrefix(".") && $0 != "__MACOSX" && FileIO.isFolder("\(path)/\($0)")
            }
        } catch {
            throw DatasetError("\(error)")
        }
    }
}
