import LCPCompression
import LCPModels
import Platform
import Signals
import Testing

@testable import LCPInference

@Suite("Engines on a signal's numbers")
struct SignalEngineTests {
    private struct Case {
        let network: BranchedNetwork
        let parameters: ModelParameters
        let preprocessing: ModelManifest.Preprocessing
        /// As the source has them, and as the network takes them.
        let (numbers, normalized): ([Float], [Float])

        init() throws {
            var random = SeededGenerator(seed: 5)
            network = try Network.conv1d.split(into: 4)
            parameters = try .random(for: network, using: &random)
            var preprocessing = ModelManifest.Preprocessing(mean: [101_325, -3, 0], standardDeviation: [50, 0.01, 7])
            preprocessing.signal = Signal(fields: ["pressure", "x", "y"])
            self.preprocessing = preprocessing
            let means = preprocessing.mean, deviations = preprocessing.standardDeviation
            numbers = (0..<network.input.elementCount).map { means[$0 % 3] + deviations[$0 % 3] * random.normal() }
            normalized = numbers.enumerated().map { ($1 - means[$0 % 3]) / deviations[$0 % 3] }
        }

        func check(_ engine: BranchEngine) throws {
            try normalized.withUnsafeBytes { try engine.run(normalized: $0) }
            let expected = Array(engine.output)
            // At an address that is no multiple of four, as in a message.
            try ([0] + numbers.withUnsafeBytes { Array($0) }).withUnsafeBytes {
                try engine.run(pixels: UnsafeRawBufferPointer(rebasing: $0.dropFirst()))
            }
            #expect(Array(engine.output) == expected)
            #expect(throws: InferenceError.self) {
                try [UInt8](repeating: 0, count: normalized.count).withUnsafeBytes { try engine.run(pixels: $0) }
            }
        }
    }

    @Test("Numbers are normalised by the model's mean and standard deviation, in single precision and in eight bits")
    func normalised() throws {
        let test = try Case()
        let merge = try test.network.headWeights(of: 1, merge: test.parameters.merge)
        for kernels in KernelSet.allCases {
            try test.check(
                try BranchEngine(
                    network: test.network, branch: 1, parameters: test.parameters.branches[1], mergeWeights: merge,
                    preprocessing: test.preprocessing, kernels: kernels))
        }
        let quantizer = try Quantizer(
            network: test.network, parameters: test.parameters, preprocessing: test.preprocessing)
        let integers = try quantizer.branch(1, pixels: test.numbers.withUnsafeBytes { Array($0) })
        let engine = try BranchEngine(
            network: quantizer.network, branch: 1, integers: integers, preprocessing: test.preprocessing)
        try test.check(engine)
        // The input reaches as far as what was seen.
        #expect(integers.values[0].scale * 255 < 16)
    }

    @Test("Several frames at once give what each gives alone")
    func together() throws {
        let test = try Case()
        let network = try Network(
            name: "test", input: FeatureMapShape(height: 1, width: 8, channels: 3),
            layers: [
                .convolution(outputs: 8, window: Window(height: 1, width: 3)), .relu, .fullyConnected(outputs: 64),
                .relu,
            ],
            classes: 4, merge: .concat
        ).split(into: 2)
        var random = SeededGenerator(seed: 6)
        let parameters = try ModelParameters.random(for: network, using: &random)
        let merge = try network.headWeights(of: 0, merge: parameters.merge)
        let single = try BranchEngine(
            network: network, branch: 0, parameters: parameters.branches[0], mergeWeights: merge,
            preprocessing: test.preprocessing)
        let batch = try #require(
            try BatchEngine(
                network: network, branch: 0, parameters: parameters.branches[0], mergeWeights: merge,
                preprocessing: test.preprocessing, capacity: 4, pool: nil))
        let frames = (0..<4).map { Array(test.numbers[24 * $0..<24 * $0 + 24]) }
        try frames[0].withUnsafeBytes { first in
            try frames[1].withUnsafeBytes { try batch.run([.pixels(first), .pixels($0)]) }
        }
        for index in 0..<2 {
            try frames[index].withUnsafeBytes { try single.run(pixels: $0) }
            for (one, other) in zip(batch.output(of: index), single.output) { #expect(abs(one - other) < 1e-5) }
        }
        #expect(throws: InferenceError.self) {
            try [UInt8](repeating: 0, count: 24).withUnsafeBytes { try batch.run([.pixels($0)]) }
        }
    }

    @Test("Fixed point is refused in a sentence")
    func fixedPoint() throws {
        let test = try Case()
        #expect(throws: NetworkError.self) {
            try FixedPointConverter(
                network: test.network, parameters: test.parameters, preprocessing: test.preprocessing)
        }
    }
}
