import Foundation
import LCPDatasets
import Testing

@Suite struct ClassFolderTests {
    static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/images")

    /// A folder with one of the fixtures at each path.
    static func folder(_ paths: [String]) throws -> TestFolder {
        let folder = try TestFolder()
        let (jpeg, png) = (
            try Data(contentsOf: fixtures.appendingPathComponent("colour.jpg")),
            try Data(contentsOf: fixtures.appendingPathComponent("colour.png"))
        )
        for path in paths { try folder.write(path, [UInt8](path.lowercased().hasSuffix("png") ? png : jpeg)) }
        return folder
    }

    static let size = ImageSize(height: 12, width: 20, channels: 3)

    @Test func foldersAreClassesInTheOrderOfTheirNames() throws {
        let folder = try Self.folder(["dog/b.png", "dog/a.JPG", "cat/1.jpeg", "ant/x.png", ".git/x.png", "readme.png"])
        try folder.write("dog/notes.txt", [1])
        let data = try DataSpecification("folder:\(folder.path)", defaultDrawnCount: 1)
        #expect(try data.classNames() == ["ant", "cat", "dog"])
        #expect(!data.hasTestSet)
        let images = try data.trainingSet(seed: 1, size: Self.size)
        #expect(images.labels == [0, 1, 2, 2])
        #expect(images.size == Self.size && images.pixels.count == 4 * 12 * 20 * 3)
        #expect(
            Array(images[2])
                == (try ImageFolder.read(
                    "\(folder.path)/dog/a.JPG", size: ImageSize(height: 12, width: 20, channels: 3))).pixels)
        #expect(try data.evaluationSet(seed: 1, size: Self.size).pixels == images.pixels)
        let grey = try data.trainingSet(seed: 1, size: ImageSize(height: 8, width: 8, channels: 1))
        #expect(grey.pixels.count == 4 * 64)
        #expect(data.normalization(channels: 1)?.mean.count == 1 && data.normalization(channels: 3)?.mean.count == 3)
    }

    @Test(
        arguments: [
            (
                ["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png", "test/b/2.png", "val/a/1.png"],
                [0, 1, 1]
            ),
            (["train/a/1.png", "train/b/1.png", "val/a/1.png", "val/a/2.png", "val/b/1.png"], [0, 0, 1]),
        ] as [([String], [UInt16])])
    func trainingAndTestMayBeApart(paths: [String], labels: [UInt16]) throws {
        let folder = try Self.folder(paths)
        let data = DataSpecification.folder(folder.path)
        #expect(data.hasTestSet)
        #expect(try data.trainingSet(seed: 1, size: Self.size).labels == [0, 1])
        #expect(try data.evaluationSet(seed: 1, size: Self.size).labels == labels)
    }

    @Test func whereThereIsNothingToTestOnOneCanStillTrain() throws {
        let folder = try Self.folder(["train/a/1.png", "train/b/1.png"])
        let data = DataSpecification.folder(folder.path)
        #expect(!data.hasTestSet)
        #expect(try data.trainingSet(seed: 1, size: Self.size).labels == [0, 1])
        #expect(try DataSummary(data).training == [1, 1])
    }

    @Test func aClassMayBeCalledTrain() throws {
        let folder = try Self.folder(["bus/1.png", "train/1.png"])
        #expect(try DataSpecification.folder(folder.path).classNames() == ["bus", "train"])
    }

    @Test(
        arguments: [
            ([], "has no folder in it"),
            (["1.png", "2.png"], "has no folder in it"),
            (["a/1.png", "b/._1.png"], "b"),
            (["train/a/1.png", "train/b/1.png"], "neither test nor val"),
            (["train/a/1.png", "train/b/1.png", "test/1.png"], "neither test nor val"),
        ] as [([String], String)])
    func everythingElseIsRefusedWithItsReason(paths: [String], word: String) throws {
        let folder = try Self.folder(paths)
        let error = #expect(throws: DatasetError.self) {
            try DataSpecification.folder(folder.path).evaluationSet(seed: 1, size: Self.size)
        }
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains(folder.path) == true)
    }

    @Test("Test data may have some of the classes, in folders that are called as people call them")
    func testData() throws {
        let folder = try Self.folder([
            "Training/ant/1.png", "Training/cat/1.png", "valid/Cat/1.png", "valid/Cat/2.png", "Test/cat/1.png",
        ])
        let data = DataSpecification.folder(folder.path)
        #expect(data.hasTestSet)
        #expect(try data.classNames() == ["ant", "cat"] && data.classNames(isTest: true) == ["cat"])
        var test = try data.evaluationSet(seed: 1, size: Self.size)
        try test.match(data.classNames(isTest: true), to: ["ant", "Cat"], data: "x", model: "y")
        #expect(test.labels == [1])
        let summary = try DataSummary(data)
        #expect(summary.training == [1, 1] && summary.test == [0, 1])
        // Without a folder for training, too.
        let alone = try Self.folder(["val/cat/1.png"])
        #expect(try DataSpecification.folder(alone.path).classNames(isTest: true) == ["cat"])
    }

    @Test("A link to another class or round in a circle adds no pictures")
    func links() throws {
        let folder = try Self.folder(["cat/1.png", "dog/1.png", "dog/more/2.png"])
        for (link, target) in [("cat/up", ".."), ("cat/dogs", "../dog"), ("dog/again", "more")] {
            try FileManager.default.createSymbolicLink(
                atPath: "\(folder.path)/\(link)", withDestinationPath: target)
        }
        #expect(try ClassFolder(path: folder.path).imagesPerClass == [1, 2])
    }

    @Test("Pictures are found by their bytes where their names do not tell, and those of other formats are named")
    func namesThatDoNotTell() throws {
        let folder = try Self.folder(["cat/1.png", "dog/1.png"])
        let picture = try #require(folder.read("cat/1.png"))
        for name in ["cat/2", "cat/3.jpe"] { try folder.write(name, picture) }
        try folder.write("cat/notes.txt", Array("A text of more than twelve bytes.".utf8))
        try folder.write("dog/2.HEIC", [0, 0, 0, 24] + Array("ftypheic".utf8) + [UInt8](repeating: 0, count: 12))
        let images = try DataSpecification.folder(folder.path).trainingSet(seed: 1, size: Self.size)
        #expect(images.labels == [0, 0, 0, 1])
        #expect(images.leftOut.count == 1 && images.leftOut[0].contains("it is a HEIC picture"), "\(images.leftOut)")
        #expect(try DataSummary(.folder(folder.path)).training == [3, 1])
    }

    @Test("A picture that cannot be read is named and left out, and a class without any is an error")
    func damagedPictures() throws {
        let folder = try Self.folder(["a/1.png", "a/2.png", "b/1.png"])
        try folder.write("b/2.jpg", [0xFF, 0xD8, 0xFF, 0])
        try folder.write("a/3.png", [])
        let data = DataSpecification.folder(folder.path)
        let images = try data.trainingSet(seed: 1, size: Self.size)
        #expect(images.labels == [0, 0, 1] && images.count == 3)
        #expect(images.leftOut.count == 2 && images.leftOut[1].contains("\(folder.path)/b/2.jpg"), "\(images.leftOut)")
        let summary = try DataSummary(data)
        #expect(summary.leftOut == images.leftOut && summary.size == [90, 120])
        try folder.write("b/1.png", [1, 2, 3])
        let error = #expect(throws: DatasetError.self) { try data.trainingSet(seed: 1, size: Self.size) }
        #expect(error?.description.contains("class b") == true, "\(String(describing: error))")
    }

    @Test("What a Mac leaves behind is no picture and no class, and folders in a class belong to it")
    func whatPeopleHave() throws {
        let folder = try Self.folder([
            "cat/1.png", "cat/._1.png", "cat/.hidden/2.png", "cat/kittens/3.png", "cat/kittens/young/4.png",
            "dog/1.png",
            "__MACOSX/cat/1.png", "dog/__MACOSX/1.png",
        ])
        try folder.write("cat/.DS_Store", [1])
        let data = DataSpecification.folder(folder.path)
        #expect(try data.classNames() == ["cat", "dog"])
        let images = try data.trainingSet(seed: 1, size: Self.size)
        #expect(images.labels == [0, 0, 0, 1] && images.leftOut.isEmpty)
    }

    @Test("Classes are matched by their names, in whatever order and however many there are")
    func matching() throws {
        func matched(_ names: [String]?, _ classes: [String]) throws -> [UInt16] {
            var images = LabeledImages(height: 1, width: 1, channels: 1, pixels: [1, 2, 3], labels: [0, 1, 1])
            try images.match(names, to: classes, data: "folder:x", model: "net")
            return images.labels
        }
        #expect(try matched(["cat", "dog"], ["ant", "Dog", "cat"]) == [2, 1, 1])
        #expect(try matched(["cat", "dog"], ["0", "1"]) == [0, 1, 1], "a model without names")
        #expect(try matched(["0", "1"], ["cat", "dog"]) == [0, 1, 1], "data without names")
        #expect(try matched(nil, ["cat", "dog"]) == [0, 1, 1])
        let beyond = #expect(throws: DatasetError.self) { try matched(nil, ["cat"]) }
        #expect(beyond?.description.contains("the label 1, and net has the classes 0 to 0") == true)
        #expect(try matched(["8", "3"], (0..<10).map { "\($0)" }) == [8, 3, 3], "digits are names, too")
        let error = #expect(throws: DatasetError.self) { try matched(["cat", "wolf"], ["cat", "dog"]) }
        #expect(error?.description.contains("wolf") == true && error?.description.contains("cat, dog") == true)
    }

    @Test func aMissingFolderAndAMissingSizeAreTold() throws {
        let missing = #expect(throws: DatasetError.self) { try ClassFolder(path: "/nowhere/images") }
        #expect(missing?.description.contains("/nowhere/images") == true)
        let folder = try Self.folder(["a/1.png", "b/1.jpg"])
        let sizeless = #expect(throws: DatasetError.self) {
            try DataSpecification.folder(folder.path).trainingSet(seed: 1)
        }
        #expect(sizeless?.description.contains("many sizes") == true)
        #expect(throws: DatasetError.self) {
            try ClassFolder(path: folder.path).read(
                size: ImageSize(height: 100_000, width: 100_000, channels: 3))
        }
    }

    @Test func readingStopsWithItsTask() async throws {
        let folder = try Self.folder(["a/1.png", "b/1.png"])
        let path = folder.path
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try ClassFolder(path: path).read(size: Self.size)
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
