import LCPDatasets
import Testing

@Suite struct DrawnDigitsTests {
    @Test func anImageDependsOnSeedAndIndexOnly() {
        let digits = DrawnDigits(seed: 7)
        let together = digits.images(20)
        for index in [19, 3, 0] {
            let (pixels, label) = digits.image(UInt64(index))
            #expect(Array(together[index]) == pixels)
            #expect(Int(together.labels[index]) == label)
        }
        #expect(DrawnDigits(seed: 8).image(0).pixels != digits.image(0).pixels)
    }

    @Test func allDigitsComeAboutEquallyOften() {
        var counts = [Int](repeating: 0, count: 10)
        for label in DrawnDigits(seed: 3).images(5000).labels { counts[Int(label)] += 1 }
        #expect(counts.allSatisfy { (400...600).contains($0) }, "\(counts)")
    }

    @Test func aNearestCentroidClassifierIsOftenWrong() {
        let training = DrawnDigits(seed: 100).images(10_000)
        let test = DrawnDigits(seed: 101).images(2000)
        var centroids = [[Float]](repeating: [Float](repeating: 0, count: 784), count: 10)
        var counts = [Float](repeating: 0, count: 10)
        for index in 0..<training.count {
            let label = Int(training.labels[index])
            counts[label] += 1
            for (position, pixel) in training[index].enumerated() { centroids[label][position] += Float(pixel) }
        }
        for label in 0..<10 { for position in 0..<784 { centroids[label][position] /= counts[label] } }
        var right = 0
        for index in 0..<test.count {
            let pixels = test[index].map(Float.init)
            let distances = centroids.map { centroid in
                zip(centroid, pixels).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
            }
            if distances.firstIndex(of: distances.min() ?? 0) == Int(test.labels[index]) { right += 1 }
        }
        let accuracy = Double(right) / Double(test.count)
        print("nearest centroid on drawn digits: \(accuracy)")
        #expect(accuracy < 0.85)
        // And still digits: far better than chance.
        #expect(accuracy > 0.3)
    }
}
