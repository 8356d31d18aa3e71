import LCPDatasets
import Testing

@testable import LCPTraining

@Suite struct DataDigestTests {
    private static let images = LabeledImages(height: 2, width: 3, channels: 1, pixels: Array(1...12), labels: [0, 1])
    private static let held = TrainingSet(pixels: Array(20...25), labels: [1])

    private func digest(
        _ sets: [LabeledImages?] = [images], _ validation: TrainingSet? = held, _ classes: [String] = ["cat", "dog"]
    ) -> DataDigest { DataDigest(sets: sets, validation: validation, classes: classes) }

    @Test("The same data has the same digest, and nothing to complain of")
    func same() {
        #expect(digest() == digest())
        #expect(digest().difference(from: digest()) == nil)
        #expect(digest().images == 2 && digest().validationImages == 1)
    }

    @Test("Whatever training depends on changes the digest")
    func different() {
        var (pixel, label, turned) = (Self.images, Self.images, Self.images)
        pixel.pixels[11] ^= 1
        label.labels[1] = 0
        (turned.height, turned.width) = (3, 2)
        var (heldPixel, heldLabel) = (Self.held, Self.held)
        heldPixel.pixels[5] ^= 1
        heldLabel.labels[0] = 0
        let others = [
            digest([pixel]), digest([label]), digest([turned]), digest([nil]), digest([Self.images, nil]),
            digest([Self.images, Self.images]), digest([Self.images], heldPixel), digest([Self.images], heldLabel),
            digest([Self.images], nil), digest([Self.images], Self.held, ["cat", "fox"]),
            digest([Self.images], Self.held, ["ca", "tdog"]),
        ]
        #expect(Set(others.map(\.sha256)).union([digest().sha256]).count == others.count + 1)
        for other in others { #expect(digest().difference(from: other) != nil) }
    }
}
