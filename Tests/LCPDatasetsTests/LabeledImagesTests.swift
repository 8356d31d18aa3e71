import LCPDatasets
import Platform
import Testing

@Suite struct LabeledImagesTests {
    /// Images whose one pixel is their number.
    static func images(_ labels: [UInt16]) -> LabeledImages {
        LabeledImages(
            height: 1, width: 1, channels: 1, pixels: labels.indices.map { UInt8($0) }, labels: labels)
    }

    @Test func aSplitTakesEachClassesShare() throws {
        let all = Self.images((0..<100).map { $0 < 60 ? 0 : $0 < 90 ? 1 : 7 })
        let (training, validation) = try all.split(validation: 20, seed: 4)
        #expect(validation.imagesPerClass() == [12, 6, 0, 0, 0, 0, 0, 2])
        #expect(training.imagesPerClass() == [48, 24, 0, 0, 0, 0, 0, 8])
    }

    @Test func everyImageIsInOneOfTheParts() throws {
        var random = SeededGenerator(seed: 9)
        for seed in 0..<100 as Range<UInt64> {
            let count = 1 + random.index(200)
            let classes = 1 + random.index(12)
            let labelled = random.index(4) != 0
            var all = Self.images((0..<count).map { _ in UInt16(random.index(classes)) })
            if !labelled { all.labels = [] }
            let wanted = random.index(count)
            let (training, validation) = try all.split(validation: wanted, seed: seed)
            #expect(validation.count == wanted && training.count == count - wanted)
            #expect((training.pixels + validation.pixels).sorted() == all.pixels)
            #expect(training.pixels == training.pixels.sorted() && validation.pixels == validation.pixels.sorted())
            guard labelled else { continue }
            for part in [training, validation] {
                #expect(part.labels == part.pixels.map { all.labels[Int($0)] })
            }
            // Nobody's share is off by an image or more.
            for (taken, whole) in zip(validation.imagesPerClass(classes: classes), all.imagesPerClass(classes: classes))
            {
                #expect(abs(Double(taken) - Double(whole * wanted) / Double(count)) < 1)
            }
        }
    }

    @Test func theSeedDecidesAlone() throws {
        let all = Self.images([UInt16](repeating: 3, count: 200))
        #expect(
            try all.split(validation: 50, seed: 1).validation.pixels
                == all.split(validation: 50, seed: 1).validation.pixels)
        #expect(
            try all.split(validation: 50, seed: 1).validation.pixels
                != all.split(validation: 50, seed: 2).validation.pixels)
    }

    @Test(arguments: [-1, 5, 6, Int.max]) func nothingIsLeftToTrainOn(count: Int) {
        let error = #expect(throws: DatasetError.self) {
            try Self.images([1, 2, 3, 4, 5]).split(validation: count, seed: 1)
        }
        #expect(error?.description.contains("\(count) images") == true)
        #expect(throws: DatasetError.self) { try Self.images([]).split(validation: 1, seed: 1) }
    }

    @Test func channelsAreMeasuredApart() {
        let images = LabeledImages(height: 1, width: 2, channels: 3, pixels: [0, 255, 51, 255, 255, 51])
        let measured = images.measuredNormalization()
        for (value, expected) in zip(measured.mean + measured.standardDeviation, [0.5, 1, 0.2, 0.5, 0, 0] as [Float]) {
            #expect(abs(value - expected) < 1e-6)
        }
    }
}
