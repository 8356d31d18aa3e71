import LCPDatasets
import Testing

@Suite struct DataSpecificationTests {
    /// As EMNIST's letters are written.
    static let emnist: IDX.Files = {
        var files = IDX.Files(images: "i", labels: "l")
        (files.firstLabel, files.isTransposed) = (1, true)
        return files
    }()

    @Test(
        arguments: [
            ("mnist:a", .mnist(folder: "a"), "mnist:FOLDER"),
            ("fashion-mnist:/a b", .fashionMNIST(folder: "/a b"), "fashion-mnist:FOLDER"),
            ("cifar10:a:b", .cifar10(folder: "a:b"), "cifar10:FOLDER"),
            ("cifar100:.", .cifar100(folder: "."), "cifar100:FOLDER"),
            ("folder:x", .folder("x"), "folder:FOLDER"),
            ("idx:i,l", .idx(.init(images: "i", labels: "l")), "idx:IMAGES,LABELS"),
            ("idx:i,l,first=1,transposed", .idx(emnist), "idx:IMAGES,LABELS,first=1,transposed"),
            ("drawn", .drawn(count: 7), "drawn:7"),
            ("drawn:12", .drawn(count: 12), "drawn:12"),
        ] as [(String, DataSpecification, String)])
    func whatIsWrittenIsUnderstood(text: String, expected: DataSpecification, form: String) throws {
        let data = try DataSpecification(text, defaultDrawnCount: 7)
        #expect(data == expected && data.form == form)
        #expect(text.hasPrefix(data.name))
    }

    @Test(arguments: [
        "", "mnist", "mnist:", "cifar:x", "drawn:0", "drawn:x", "idx:a", "idx:a,first=1", "idx:a,l,first=-1",
        "idx:a,l,first=256", "idx:a,l,upside-down", "idx:,l", "drawn:99999999999", "MNIST:x",
    ])
    func anythingElseIsRefused(text: String) {
        #expect(throws: DatasetError.self) { try DataSpecification(text, defaultDrawnCount: 7) }
    }

    @Test func drawnDigitsForTrainingAreOthersInEveryEpochAndNeverThoseToEvaluateOn() throws {
        let data = DataSpecification.drawn(count: 3)
        let sets = [
            try data.trainingSet(seed: 1).pixels, try data.trainingSet(seed: 1, epoch: 2).pixels,
            try data.evaluationSet(seed: 1).pixels,
        ]
        #expect(Set(sets).count == 3)
        #expect(try data.trainingSet(seed: 1, epoch: 1).pixels == sets[0])
        #expect(data.hasTestSet)
        #expect(try data.classNames()?.count == 10)
    }

    @Test func anotherSizeThanTheModelsIsRefused() {
        let error = #expect(throws: DatasetError.self) {
            try DataSpecification.drawn(count: 1).evaluationSet(
                seed: 1, size: ImageSize(height: 32, width: 32, channels: 3))
        }
        #expect(error?.description.contains("28×28×1, and 32×32×3 is needed") == true)
    }
}
