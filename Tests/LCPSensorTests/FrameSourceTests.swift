import Foundation
import LCPModels
import LCPPipeline
import LCPWire
import Testing

@testable import LCPSensor

@Suite struct FrameSourceTests {
    final class Folder {
        let path = NSTemporaryDirectory() + "lcp-frames-\(UUID().uuidString)"

        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        /// Puts one of the repository's pictures somewhere.
        func add(_ name: String) throws {
            let target = URL(fileURLWithPath: "\(path)/\(name)")
            try FileManager.default.createDirectory(
                at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
            let picture = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("../Fixtures/images/colour.png")
            try FileManager.default.copyItem(at: picture, to: target)
        }
    }

    static let shape = FeatureMapShape(height: 4, width: 4, channels: 3)

    static func truths(_ source: FrameSource, labels: [String]? = nil) throws -> [Int32] {
        var reader = FrameReader(source, shape: source.shape ?? shape, labels: labels)
        var truths: [Int32] = []
        while let frame = try reader.read() {
            #expect(frame.pixels.count == reader.shape.elementCount)
            truths.append(frame.label)
        }
        return truths
    }

    @Test func foldersForClassesTellTheTruth() throws {
        let folder = try Folder()
        for name in ["cat/1.png", "cat/2.png", "cat/3.png", "dog/1.png", "owl/1.png", "owl/2.png"] {
            try folder.add(name)
        }
        let source = try FrameSource("dir:\(folder.path)", seed: 1)
        #expect(source.count == 6 && source.classNames == ["cat", "dog", "owl"] && source.shape == nil)
        // One of each in turn; by the folders' order where no model is known, by its labels where one is.
        #expect(try Self.truths(source) == [0, 1, 2, 0, 2, 0])
        #expect(try Self.truths(source, labels: ["owl", "cat"]) == [1, -1, 0, 1, 0, 1])
        // Pictures of the folder itself come alone, as before.
        try folder.add("5.png")
        #expect(try Self.truths(try FrameSource("dir:\(folder.path)", seed: 1)) == [-1])
        #expect(try Self.truths(try FrameSource("folder:\(folder.path)", seed: 1)).count == 6)
    }

    @Test func aDividedFolderShowsItsTestSet() throws {
        let folder = try Folder()
        for name in ["train/cat/1.png", "train/dog/1.png", "val/cat/2.png", "val/dog/3.png"] { try folder.add(name) }
        let source = try FrameSource("dir:\(folder.path)", seed: 1)
        #expect(source.count == 2 && source.classNames == ["cat", "dog"])
    }

    @Test("A frame keeps the shape in which it was read, and what is odd about its picture")
    func framesKeepTheirShape() throws {
        let folder = try Folder()
        for name in ["1.png", "2.png"] { try folder.add(name) }
        let clear = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../Fixtures/pictures/depth16-colour-transparent.png").path
        try FileManager.default.copyItem(atPath: clear, toPath: "\(folder.path)/3.png")
        var reader = FrameReader(try FrameSource("dir:\(folder.path)", seed: 1), shape: Self.shape)
        let first = try #require(try reader.read())
        reader.shape = FeatureMapShape(height: 6, width: 5, channels: 1)
        let second = try #require(try reader.read())
        #expect(first.shape == Self.shape && first.pixels.count == 48)
        #expect(second.shape == reader.shape && second.pixels.count == 30)
        #expect(first.notes.isEmpty)
        #expect(try reader.read()?.notes == .transparent)
    }

    @Test("Pictures are cut or put into a box as the model wants them, by sensors and workers alike")
    func modelPictures() throws {
        let pictures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../Fixtures/pictures").path
        let folder = try Folder()
        try FileManager.default.copyItem(atPath: "\(pictures)/fit-tall.png", toPath: "\(folder.path)/tall.png")
        let file = Array(try Data(contentsOf: URL(fileURLWithPath: "\(pictures)/fit-tall.png")))
        let shape = FeatureMapShape(height: 32, width: 32, channels: 3)
        for (ending, resize) in [("crop", .crop(shorter: 40)), ("letterbox", .letterbox(grey: 114)), ("stretch", nil)]
            as [(String, PictureResize?)]
        {
            let wanted = Array(try Data(contentsOf: URL(fileURLWithPath: "\(pictures)/fit-tall.\(ending)")))
            var preprocessing = ModelManifest.Preprocessing(mean: [0, 0, 0], standardDeviation: [1, 1, 1])
            preprocessing.resize = resize
            var reader = FrameReader(try FrameSource("dir:\(folder.path)", seed: 1), shape: shape)
            reader.preprocessing = preprocessing
            let frame = try #require(try reader.read())
            #expect(zip(frame.pixels, wanted).allSatisfy { abs(Int($0) - Int($1)) <= 1 }, "\(ending)")
            let decoder = InputDecoder(shape: shape, preprocessing: preprocessing)
            guard case .decoded(let pixels, _) = try file.withUnsafeBytes({ try decoder.decode($0) }).1 else {
                Issue.record("a picture was taken for something else")
                continue
            }
            #expect(pixels == frame.pixels, "\(ending)")
        }
    }

    @Test func dataSetsShowTheirTestImages() throws {
        let folder = try Folder()
        let records = [[UInt8]](repeating: [9] + [UInt8](repeating: 7, count: 3072), count: 3).flatMap(\.self)
        try Data(records).write(to: URL(fileURLWithPath: "\(folder.path)/test_batch.bin"))
        let source = try FrameSource("cifar10:\(folder.path)", seed: 1)
        #expect(source.count == 3 && source.shape == FeatureMapShape(height: 32, width: 32, channels: 3))
        #expect(try Self.truths(source) == [9, 9, 9])
        #expect(try Self.truths(source, labels: ["truck"]) == [0, 0, 0])
        #expect(try Self.truths(source, labels: ["lorry"]) == [-1, -1, -1])
    }

    @Test func framesThatDoNotFitAreToldWithTheWayOut() throws {
        let bundle = try ModelBundle.find(
            URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("../../Models/lenet-split2").path)
        var manifest = bundle.manifest
        try FrameSource.drawn(seed: 1).check(fits: manifest)
        manifest.network.input = Self.shape
        let error = #expect(throws: PipelineError.self) { try FrameSource.drawn(seed: 1).check(fits: manifest) }
        #expect(error?.description.contains("28×28×1") == true && error?.description.contains("dir:FOLDER") == true)
        let folder = try Folder()
        try folder.add("1.png")
        let pictures = try FrameSource("dir:\(folder.path)", seed: 1)
        try pictures.check(fits: manifest)
        manifest.network.input.channels = 2
        #expect(throws: PipelineError.self) { try pictures.check(fits: manifest) }
    }

    @Test(arguments: ["cifar10:", "folder:/nowhere", "dir:/nowhere", "mnist:/nowhere", "drawn:7", "camera", "idx:"])
    func whatIsNoSourceIsTold(text: String) {
        #expect(throws: (any Error).self) { try FrameSource(text, seed: 1) }
    }
}
