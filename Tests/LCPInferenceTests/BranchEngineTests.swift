import CBranchKernels
import Glibc
import LCPModels
import Platform
import Testing

@testable import LCPInference

@Suite struct BranchEngineTests {
    /// Our kernels for every vector length that this processor has, and XNNPACK without them.
    static let kernels: [Kernels?] =
        [nil] + [4, 8, 16].filter { $0 <= lcp_lanes() }.map { Kernels(lanes: $0) }

    @Test(arguments: kernels) func randomNetworksMatchAnIndependentReference(_ kernels: Kernels?) throws {
        var random = SeededGenerator(seed: 20_26)
        var worst = 0.0
        var seen = Set<String>()
        for _ in 0..<100 {
            let input = FeatureMapShape(
                height: 1 + random.index(24), width: 1 + random.index(24), channels: 1 + random.index(5))
            let layers = RandomNetworks.layers(&random, input: input)
            let network = BranchedNetwork(
                base: "random", input: input, branches: [layers], classes: 1 + random.index(30), merge: .concat)
            guard (try? network.validate()) != nil else { continue }
            seen.formUnion(layers.map { $0.description.prefix { $0.isLetter || $0 == " " }.description })
            let parameters = try RandomNetworks.parameters(for: network, using: &random)
            let isPartial = try network.output(of: 0) == .partialLogits
            let engine = try BranchEngine(
                network: network, branch: 0, parameters: parameters.branches[0],
                mergeWeights: isPartial ? network.mergeWeights(of: 0, merge: parameters.merge) : nil,
                preprocessing: .init(
                    mean: (0..<input.channels).map { _ in random.uniform(0, 1) },
                    standardDeviation: Array(repeating: 0.5, count: input.channels)), kernels: kernels)
            // HWC for the engine, CHW for the reference.
            let hwc = (0..<input.elementCount).map { _ in random.uniform(-1, 1) }
            let area = input.height * input.width
            let chw = (0..<input.elementCount).map { Double(hwc[$0 % area * input.channels + $0 / area]) }
            try hwc.withUnsafeBytes { try engine.run(normalized: $0) }
            var expected = Reference.run(layers, try network.shapes(of: 0), parameters.branches[0], input: chw)
            if isPartial {
                let weights = try network.mergeWeights(of: 0, merge: parameters.merge)
                expected = (0..<network.classes).map { row in
                    expected.indices.reduce(0) { $0 + Double(weights[row * expected.count + $1]) * expected[$1] }
                }
            }
            #expect(engine.output.count == expected.count)
            var difference = 0.0
            let scale = max(1, expected.map(abs).max() ?? 1)
            for (found, wanted) in zip(engine.output, expected) {
                difference = max(difference, abs(Double(found) - wanted) / scale)
            }
            #expect(difference < 1e-4, "\(layers) on \(input)")
            worst = max(worst, difference)
            // A second run on the same input gives the same bits.
            let first = Array(engine.output)
            try hwc.withUnsafeBytes { try engine.run(normalized: $0) }
            #expect(Array(engine.output) == first)
        }
        #expect(seen.count == 28, "\(seen.sorted())")
    }

    @Test func pixelsAreNormalisedAsTheManifestSays() throws {
        let input = FeatureMapShape(height: 4, width: 3, channels: 3)
        let network = BranchedNetwork(
            base: "t", input: input, branches: [[.fullyConnected(outputs: 5)]], classes: 9, merge: .concat)
        var random = SeededGenerator(seed: 1)
        let parameters = try ModelParameters.random(for: network, using: &random)
        let (mean, deviation): ([Float], [Float]) = ([0.1, 0.5, 0.9], [0.2, 0.3, 0.4])
        let engine = try BranchEngine(
            network: network, branch: 0, parameters: parameters.branches[0], mergeWeights: nil,
            preprocessing: .init(mean: mean, standardDeviation: deviation))
        let pixels = (0..<36).map { UInt8($0 * 7) }
        try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
        let byPixels = Array(engine.output)
        let values = pixels.enumerated().map { (Float($1) / 255 - mean[$0 % 3]) / deviation[$0 % 3] }
        try values.withUnsafeBytes { try engine.run(normalized: $0) }
        for (left, right) in zip(byPixels, engine.output) { #expect(abs(left - right) < 1e-4) }
    }

    @Test(
        "Pixels become the same bits with vectors of any length, as one number after the other", arguments: [1, 3, 5])
    func pixelsHaveTheSameBits(channels: Int) {
        var random = SeededGenerator(seed: 3)
        func values() -> [Float] { (0..<channels).map { _ in random.uniform(-3, 3) } }
        let (scale, offset) = (values(), values())
        func repeated(_ values: [Float]) -> [Float] { (0..<16).flatMap { _ in values } }
        let bytes = (0..<channels * 37).map { _ in UInt8(random.index(256)) }
        let expected = bytes.enumerated().map { Float($1) * scale[$0 % channels] + offset[$0 % channels] }
        for lanes in [4, 8, 16] where lanes <= lcp_lanes() {
            var output = [Float](repeating: 0, count: bytes.count)
            lcp_scale_bytes(
                lanes, bytes, &output, bytes.count, repeated(scale), repeated(offset), 16 * channels)
            #expect(output == expected)
        }
    }

    @Test func aWrongSizeIsAnErrorAndNothingElse() throws {
        var random = SeededGenerator(seed: 1)
        let network = try Network.lenet.split(into: 4)
        let parameters = try ModelParameters.random(for: network, using: &random)
        let engine = try BranchEngine(
            network: network, branch: 0, parameters: parameters.branches[0], mergeWeights: nil,
            preprocessing: .init(mean: [0], standardDeviation: [1]))
        for count in [0, 1, 783, 785, 784 * 4] {
            #expect(throws: InferenceError.self) {
                try [UInt8](repeating: 0, count: count).withUnsafeBytes { try engine.run(pixels: $0) }
            }
        }
    }
}

@Suite struct KernelSetTests {
    @Test("Of several kernels the fastest is chosen by measurement, once for a branch, and says the same as the others")
    func fastest() throws {
        var random = SeededGenerator(seed: 24)
        let network = try Network.lenet.split(into: 4)
        let parameters = try ModelParameters.random(for: network, using: &random)
        let merge = try network.headWeights(of: 1, merge: parameters.merge)
        func choose() throws -> KernelSet {
            try KernelSet.fastest(
                of: KernelSet.allCases, for: network, branch: 1, parameters: parameters.branches[1], head: merge,
                preprocessing: .usual(for: network.input))
        }
        let choice = try choose()
        for _ in 0..<20 { #expect(try choose() == choice) }
        let pixels = (0..<network.input.elementCount).map { _ in UInt8(random.index(256)) }
        let outputs = try KernelSet.allCases.map { set in
            let engine = try BranchEngine(network, branch: 1, of: parameters, kernels: set)
            #expect(engine.kernelSet == set)
            try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
            return Array(engine.output)
        }
        let scale = outputs[0].map(abs).max() ?? 0
        for (one, other) in zip(outputs[0], outputs[1]) { #expect(abs(one - other) <= 1e-5 * scale) }
    }
}
