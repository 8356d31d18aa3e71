import Foundation
import LCPDatasets
import Testing

@Suite struct DataFileTests {
    func file(_ bytes: [UInt8]) throws -> String {
        let path = NSTemporaryDirectory() + "lcp-\(UUID().uuidString).idx"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    @Test func imagesAndLabelsAreRead() throws {
        let images = try file([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3] + Array(0..<12))
        let labels = try file([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])
        defer { for path in [images, labels] { try? FileManager.default.removeItem(atPath: path) } }
        let set = try IDX.read(images: images, labels: labels)
        #expect((set.count, set.height, set.width) == (2, 2, 3))
        #expect(Array(set[1]) == [6, 7, 8, 9, 10, 11])
        #expect(set.labels == [7, 9])
    }

    @Test(arguments: [
        ([UInt8](), "not an IDX"), ([0, 0], "not an IDX"), ([0x1F, 0x8B, 8, 0, 0], "gunzip"),
        ([0, 0, 9, 3], "unsigned bytes"),
        ([0, 0, 8, 1, 0, 0, 0, 1, 5], "swapped"), ([0, 0, 8, 3, 0, 0], "header"),
        ([0, 0, 8, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], "impossible"),
        ([0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2], "impossible"),
        ([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3], "truncated"),
    ])
    func everythingElseIsRefusedWithItsReason(bytes: [UInt8], word: String) throws {
        let path = try file(bytes)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let error = #expect(throws: DatasetError.self) { try IDX.read(images: path) }
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains(path) == true)
    }

    @Test func aMissingFileIsNamed() {
        let error = #expect(throws: DatasetError.self) { try IDX.read(images: "/nowhere/images") }
        #expect(error?.description.contains("/nowhere/images") == true)
    }

    @Test(
        .enabled(
            if: ProcessInfo.processInfo.environment["LCP_DATA"] != nil,
            "SKIPPED: LCP_DATA names no folder with real data, so MNIST is not read"))
    func mnistIsRead() throws {
        let folder = try #require(ProcessInfo.processInfo.environment["LCP_DATA"]) + "/mnist"
        let (training, test) = (
            try IDX.mnist(folder: folder, training: true), try IDX.mnist(folder: folder, training: false)
        )
        #expect((training.count, test.count) == (60_000, 10_000))
        #expect((test.height, test.width) == (28, 28))
        #expect(Array(test.labels.prefix(5)) == [7, 2, 1, 0, 4])
    }
}
