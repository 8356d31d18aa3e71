public import Images
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
    /// - Parameters:
    ///   - minimum: how many classes there have to be.
    ///   - endings: of the files, in small letters; nil for pictures, whatever they are called.
    /// - Throws: ``DatasetError`` where there are not so many to 65,536 classes, or one has no image.
    public init(path: String, minimum: Int = 2, endings: [String]? = nil) throws(DatasetError) {
        let classes = try Self.subfolders(path)
        guard classes.count >= minimum else {
            throw DatasetError(
                "\(path) has \(classes.isEmpty ? "no folder" : "only the folder \(classes[0])") in it: it needs one for each class, with its images"
            )
        }
        guard classes.count <= 65_536 else {
            throw DatasetError("\(path) has \(classes.count) folders in it, a class each: at most 65,536 are supported")
        }
        self.path = path
        self.classes = classes
        // A link may lead to another class, or round in a circle.
        var visited = Set(([path] + classes.map { "\(path)/\($0)" }).compactMap(FileIO.identity))
        var files: [[String]] = []
        for name in classes {
            let found = try Self.files("\(path)/\(name)", endings, &visited)
            guard !found.isEmpty else {
                let wanted = endings?.joined(separator: ", ") ?? ImageFormat.endingWords
                throw DatasetError("there is no \(wanted) file in \(path)/\(name)")
            }
            files.append(found)
        }
        self.files = files
    }

    /// The files in a folder and in those in it, but for folders that were visited.
    private static func files(
        _ path: String, _ endings: [String]?, _ visited: inout Set<[UInt64]>
    ) throws(DatasetError) -> [String] {
        var result: [String]
        if let endings {
            let names = (try? FileIO.list(path)) ?? []
            result = names.filter { name in
                !name.hasPrefix(".") && endings.contains { name.lowercased().hasSuffix($0) }
            }.map { "\(path)/\($0)" }
        } else {
            result = (try? ImageFolder(path: path).files) ?? []
        }
        for name in try subfolders(path) {
            guard let identity = FileIO.identity("\(path)/\(name)"), visited.insert(identity).inserted else { continue }
            result += try files("\(path)/\(name)", endings, &visited)
        }
        return result
    }

    /// The number of images of each class.
    public var imagesPerClass: [Int] { files.map(\.count) }

    /// The number of images of a class, 0 where there is no such.
    func count(of name: String) -> Int { classes.firstIndex(of: name).map { files[$0].count } ?? 0 }

    /// All files with the names of their classes, class after class.
    var inOrder: [(path: String, class: String)] {
        zip(classes, files).flatMap { name, files in files.map { ($0, name) } }
    }

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

    /// What the folders are called that hold the images to train on and those to test on, capitals or not.
    private static let trainingNames = ["train", "training"]
    private static let testNames = ["test", "testing", "val", "valid", "validation"]

    /// The first of some folders that is in `folder` and has a folder for each class.
    ///
    /// A class may be called `train`, too: then there are images in it and no folders.
    private static func part(of folder: String, _ names: [String]) -> String? {
        let there = (try? subfolders(folder)) ?? []
        return names.lazy.flatMap { name in there.filter { $0.lowercased() == name } }.map { "\(folder)/\($0)" }
            .first { ((try? subfolders($0)) ?? []).isEmpty == false }
    }

    /// Whether `folder` holds `train`, and `test` or `val`, each with a folder for each class, in place of the classes.
    static func isDivided(_ folder: String) -> Bool { part(of: folder, trainingNames) != nil }

    /// The images to train on: those of `folder/train`, or all of `folder`.
    public static func training(_ folder: String, endings: [String]? = nil) throws(DatasetError) -> ClassFolder {
        try ClassFolder(path: part(of: folder, trainingNames) ?? folder, endings: endings)
    }

    /// The images to evaluate on: those of `folder/test`, or of `folder/val` where there is no `test`, or all of `folder`. They may
    /// have some of the classes only.
    public static func evaluation(_ folder: String, endings: [String]? = nil) throws(DatasetError) -> ClassFolder {
        if let test = testFolder(folder) { return try ClassFolder(path: test, minimum: 1, endings: endings) }
        guard !isDivided(folder) else {
            throw DatasetError("\(folder) has a folder train and neither test nor val: there is nothing to evaluate on")
        }
        return try ClassFolder(path: folder, minimum: 1, endings: endings)
    }

    /// The folder in `folder` that holds the test set, where there is one.
    static func testFolder(_ folder: String) -> String? { part(of: folder, testNames) }

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
