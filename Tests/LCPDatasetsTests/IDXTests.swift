import Foundation
import LCPDatasets
import Testing

@Suite struct IDXTests {
    func file(_ bytes: [UInt8]) throws -> String {
        let path = NSTemporaryDirectory() + "lcp-\(UUID().uuidString).idx"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    @Test func imagesAndLabelsAreRead() throws {
        let images = try file([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3] + Array(0..<12))
        let labels = try file([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])
        defer { for path in [images, labels] { try? FileManager.default.removeItem(atPath: path) } }
        let set = try IDX.read(.init(images: images, labels: labels))
        #expect((set.count, set.height, set.width) == (2, 2, 3))
        #expect(Array(set[1]) == [6, 7, 8, 9, 10, 11])
        #expect(set.labels == [7, 9])
    }

    @Test("EMNIST's files are read as they are: compressed, each letter on its side, and A with the label 1")
    func variants() throws {
        let pixels: [UInt8] = [1, 2, 3, 4, 5, 6]
        let images = try file(ArchiveTests.gzip([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 2] + pixels))
        let labels = try file(ArchiveTests.gzip([0, 0, 8, 1, 0, 0, 0, 1, 26]))
        defer { for path in [images, labels] { try? FileManager.default.removeItem(atPath: path) } }
        var files = try IDX.Files("\(images),\(labels),first=1,transposed")
        let set = try IDX.read(files)
        #expect((set.height, set.width) == (2, 3) && set.pixels == [1, 3, 5, 2, 4, 6] && set.labels == [25])
        files.firstLabel = 27
        let error = #expect(throws: DatasetError.self) { try IDX.read(files) }
        #expect(error?.description.contains("has the label 26, and the first is said to be 27") == true)
    }

    @Test("A folder with MNIST's files still packed is read") func packedFolder() throws {
        let folder = try TestFolder()
        try folder.write(
            "train-images-idx3-ubyte.gz", ArchiveTests.gzip([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 7]))
        try folder.write("train-labels-idx1-ubyte.gz", ArchiveTests.gzip([0, 0, 8, 1, 0, 0, 0, 1, 9]))
        let set = try DataSpecification("mnist:\(folder.path)", defaultDrawnCount: 1).trainingSet(seed: 1)
        #expect(set.pixels == [7] && set.labels == [9])
    }

    @Test(arguments: [
        ([UInt8](), "not an IDX"), ([0, 0], "not an IDX"), ([0x1F, 0x8B, 8, 0, 0], "truncated"),
        ([0, 0, 9, 3], "unsigned bytes"),
        ([0, 0, 8, 1, 0, 0, 0, 1, 5], "swapped"), ([0, 0, 8, 3, 0, 0], "header"),
        ([0, 0, 8, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], "impossible"),
        ([0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2], "impossible"),
        ([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3], "truncated"),
    ])
    func everythingElseIsRefusedWithItsReason(bytes: [UInt8], word: String) throws {
        let path = try file(bytes)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let error = #expect(throws: DatasetError.self) { try IDX.read(.init(images: path)) }
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains(path) == true)
    }

    @Test func aMissingFileIsNamed() {
        let error = #expect(throws: DatasetError.self) { try IDX.read(.init(images: "/nowhere/images")) }
        #expect(error?.description.contains("/nowhere/images") == true)
    }

    @Test(arguments: ["mnist", "fashion-mnist"])
    func aLabelAboveNineIsRefused(name: String) throws {
        let folder = try TestFolder()
        try folder.write("train-images-idx3-ubyte", [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 5, 6])
        try folder.write("train-labels-idx1-ubyte", [0, 0, 8, 1, 0, 0, 0, 2, 9, 10])
        let error = #expect(throws: DatasetError.self) {
            try DataSpecification("\(name):\(folder.path)", defaultDrawnCount: 1).trainingSet(seed: 1)
        }
        #expect(error?.description.contains("image 1 has the label 10") == true)
        #expect(error?.description.contains("\(folder.path)/train-labels-idx1-ubyte") == true)
    }

    @Test(.needsRealData) func mnistIsRead() throws {
        let data = DataSpecification.mnist(folder: try RealData.folder("mnist"))
        let (training, test) = (try data.trainingSet(seed: 1), try data.evaluationSet(seed: 1))
        #expect((training.count, test.count) == (60_000, 10_000))
        #expect(test.size == data.size)
        #expect(Array(test.labels.prefix(5)) == [7, 2, 1, 0, 4])
        // LeCun's counts.
        #expect(test.imagesPerClass() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
        #expect(training.imagesPerClass().reduce(0, +) == 60_000)
        try expectUsual(training, data)
    }
}
