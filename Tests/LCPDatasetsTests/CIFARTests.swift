import Foundation
import Platform
import Testing

@testable import LCPDatasets

@Suite struct CIFARTests {
    /// A record whose pixel at (row, column) is (row, column, label).
    static func record(_ labels: [UInt8]) -> [UInt8] {
        let rows = (0..<32).flatMap { row in (0..<32).map { _ in UInt8(row) } }
        let columns = (0..<32).flatMap { _ in (0..<32).map { UInt8($0) } }
        return labels + rows + columns + [UInt8](repeating: labels.last ?? 0, count: 1024)
    }

    static func tenFolder(_ prefix: String = "") throws -> TestFolder {
        let folder = try TestFolder()
        for batch in 1...5 {
            try folder.write("\(prefix)data_batch_\(batch).bin", record([UInt8(batch)]) + record([0]))
        }
        try folder.write("\(prefix)test_batch.bin", record([9]))
        return folder
    }

    @Test(arguments: ["", "cifar-10-batches-bin/"])
    func planesBecomePixels(prefix: String) throws {
        let folder = try Self.tenFolder(prefix)
        let data = try DataSpecification("cifar10:\(folder.path)", defaultDrawnCount: 1)
        let training = try data.trainingSet(seed: 1, size: ImageSize(height: 32, width: 32, channels: 3))
        #expect(training.labels == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0])
        #expect(training.size == data.size)
        let image = Array(training[4])
        for row in 0..<32 {
            for column in 0..<32 {
                let first = (row * 32 + column) * 3
                #expect(Array(image[first..<first + 3]) == [UInt8(row), UInt8(column), 3])
            }
        }
        #expect(try data.evaluationSet(seed: 1).labels == [9])
        #expect(try data.classNames()?[9] == "truck")
    }

    @Test func theFineLabelsOfCIFAR100AreTaken() throws {
        let folder = try TestFolder()
        try folder.write("train.bin", Self.record([19, 7]) + Self.record([0, 99]))
        try folder.write("test.bin", Self.record([3, 42]))
        let data = try DataSpecification("cifar100:\(folder.path)", defaultDrawnCount: 1)
        #expect(try data.trainingSet(seed: 1).labels == [7, 99])
        #expect(try data.evaluationSet(seed: 1).labels == [42])
        let names = try #require(try data.classNames())
        #expect(names.count == 100 && Set(names).count == 100 && names == names.sorted())
    }

    @Test(
        arguments: [
            ([], "is no number of images"), (record([1]).dropLast(), "has 3072 bytes"),
            (record([1]) + [0], "truncated"),
            (record([10]), "has the label 10"), (record([1]) + record([255]), "image 1"),
            ([0x1F, 0x8B, 8, 0], "tar xzf"),
        ] as [([UInt8], String)])
    func damageIsRefusedWithItsReason(bytes: [UInt8], word: String) throws {
        let folder = try Self.tenFolder()
        try folder.write("data_batch_3.bin", bytes)
        let error = #expect(throws: DatasetError.self) { try CIFAR.ten(folder: folder.path, training: true) }
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("\(folder.path)/data_batch_3.bin") == true)
    }

    @Test func aBatchThatIsCutBetweenImagesIsRefused() throws {
        let folder = try Self.tenFolder()
        try folder.write("data_batch_5.bin", Self.record([1]))
        let error = #expect(throws: DatasetError.self) { try CIFAR.ten(folder: folder.path, training: true) }
        #expect(error?.description.contains("data_batch_5.bin has 1 images and") == true)
    }

    @Test func aMissingFileIsNamed() throws {
        let folder = try Self.tenFolder()
        try FileManager.default.removeItem(atPath: "\(folder.path)/data_batch_2.bin")
        let error = #expect(throws: DatasetError.self) { try CIFAR.ten(folder: folder.path, training: true) }
        #expect(error?.description.contains("there is no data_batch_2.bin in \(folder.path)") == true)
        #expect(throws: DatasetError.self) { try CIFAR.hundred(folder: folder.path, training: false) }
    }

    @Test func anyBytesAreReadOrRefused() {
        var random = SeededGenerator(seed: 5)
        for round in 0..<300 {
            var bytes = Self.record([UInt8(random.index(10)), UInt8(random.index(100))])
            if round % 3 == 0 { bytes += bytes }
            if round % 2 == 0 { bytes.removeLast(random.index(bytes.count)) }
            for _ in 0..<random.index(4) where !bytes.isEmpty {
                bytes[random.index(bytes.count)] = UInt8(random.index(256))
            }
            for record in [CIFAR.Record.ten, .hundred] {
                guard let images = try? CIFAR.decode(bytes, record, name: "fuzz") else { continue }
                #expect(images.labels.count == images.count && images.count > 0)
                #expect(images.labels.allSatisfy { $0 < record.classes })
                #expect(images.count * (3072 + record.labelBytes) == bytes.count)
            }
        }
    }

    @Test(.needsRealData) func cifar10IsRead() throws {
        let data = DataSpecification.cifar10(folder: try RealData.folder("cifar10"))
        let (training, test) = (try data.trainingSet(seed: 1), try data.evaluationSet(seed: 1))
        #expect(training.imagesPerClass() == [Int](repeating: 5000, count: 10))
        #expect(test.imagesPerClass() == [Int](repeating: 1000, count: 10))
        try expectUsual(training, data)

        let (rest, validation) = try training.split(validation: 5000, seed: 3)
        #expect(rest.imagesPerClass() == [Int](repeating: 4500, count: 10))
        #expect(validation.imagesPerClass() == [Int](repeating: 500, count: 10))
    }
}
