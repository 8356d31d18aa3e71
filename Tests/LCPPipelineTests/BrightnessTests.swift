import LCPModels
import Testing

@testable import LCPPipeline

@Suite struct BrightnessTests {
    private static let digits = ModelManifest.Preprocessing(mean: [0.1307], standardDeviation: [0.3081])

    @Test("A digit on white is told to whom expects it on black, and no other picture is")
    func inverted() {
        let onBlack = [UInt8](repeating: 0, count: 700) + [UInt8](repeating: 255, count: 84)
        #expect(Brightness.looksInverted(onBlack.map { 255 - $0 }, Self.digits))
        #expect(!Brightness.looksInverted(onBlack, Self.digits))
        #expect(!Brightness.looksInverted([], Self.digits))
        let photographs = ModelManifest.Preprocessing(mean: [0.45], standardDeviation: [0.22])
        #expect(!Brightness.looksInverted(onBlack.map { 255 - $0 }, photographs))
        let colours = ModelManifest.Preprocessing(mean: [0.1, 0.1, 0.1], standardDeviation: [0.2, 0.2, 0.2])
        #expect(!Brightness.looksInverted([UInt8](repeating: 255, count: 784 * 3), colours))
    }
}
