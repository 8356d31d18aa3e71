import LCPModels
import Testing

@testable import LCPSensor

@Suite("Frames that do not change") struct ChangeGateTests {
    private static let shape = FeatureMapShape(height: 64, width: 48, channels: 3)

    private static func frame(_ grey: UInt8, spot: UInt8? = nil, shape: FeatureMapShape = shape) -> SensorFrame {
        var pixels = [UInt8](repeating: grey, count: shape.elementCount)
        // A tile is 8 × 6 pixels of three channels; this is the last one.
        if let spot {
            for row in 56..<64 { for index in (row * 48 + 42) * 3..<(row + 1) * 48 * 3 { pixels[index] = spot } }
        }
        return SensorFrame(pixels: pixels, label: -1, shape: shape)
    }

    @Test("The measure is the mean difference in percent of the tile where it is largest")
    func measure() {
        func difference(_ one: SensorFrame, _ other: SensorFrame) -> Double {
            ChangeGate.difference(one.pixels, other.pixels, Self.shape)
        }
        #expect(difference(Self.frame(0), Self.frame(0)) == 0)
        #expect(difference(Self.frame(0), Self.frame(255)) == 100)
        #expect(difference(Self.frame(100), Self.frame(100, spot: 151)) == 20)
        let tiny = FeatureMapShape(height: 1, width: 3, channels: 1)
        #expect(ChangeGate.difference([0, 0, 0], [0, 51, 0], tiny) == 20)
    }

    @Test("What passes is compared with what passed last, so that a slow change is seen, too")
    func gate() {
        var gate = ChangeGate(threshold: 2)
        let greys: [UInt8] = [100, 100, 102, 104, 106, 108, 110, 110, 100]
        // 2 % are 5.1 of 255.
        let passed = greys.map { grey in gate.passes(Self.frame(grey)) }
        #expect(passed == [true, false, false, false, true, false, false, false, true] && gate.held == 6)
        let other = gate.passes(Self.frame(100, shape: FeatureMapShape(height: 4, width: 4, channels: 1)))
        #expect(other)
    }
}
