import LCPInference
import LCPModels
import Platform
import Testing

@testable import LCPCompression

@Suite("A model in fixed point 3.13") struct FixedPointConverterTests {
    private static func pixels(_ input: FeatureMapShape, count: Int) -> [UInt8] {
        var random = SeededGenerator(seed: 5)
        return (0..<count * input.elementCount).map { _ in UInt8(random.index(256)) }
    }

    /// The largest difference between a branch in single precision and in fixed point on the pictures it was made with, as a part
    /// of the largest number.
    private static func error(
        _ network: BranchedNetwork, _ parameters: ModelParameters
    ) throws -> (error: Float, branch: FixedPointBranch) {
        let preprocessing = ModelManifest.Preprocessing.usual(for: network.input)
        let converter = try FixedPointConverter(
            network: network, parameters: parameters, preprocessing: preprocessing)
        let pixels = pixels(network.input, count: 3)
        let branch = try converter.branch(0, pixels: pixels)
        let float = try BranchEngine(network, of: parameters)
        let fixed = try BranchEngine(
            network: converter.network, branch: 0, fixedPoint: branch, preprocessing: preprocessing)
        var (largest, error): (Float, Float) = (0, 0)
        for picture in 0..<3 {
            let count = network.input.elementCount
            try pixels[picture * count..<(picture + 1) * count].withUnsafeBytes {
                try float.run(pixels: $0)
                try fixed.run(pixels: $0)
            }
            #expect(float.outputCount == fixed.outputCount)
            for (expected, found) in zip(float.output, fixed.output) {
                largest = max(largest, abs(expected))
                error = max(error, abs(expected - found))
            }
        }
        return (error / largest, branch)
    }

    @Test(
        "It answers as the one in single precision within half a per cent",
        arguments: ["lenet", "cifarnet", "cifarnet-bn", "resnet18", "mobilenet"])
    func near(name: String) throws {
        var network = try Network.named(name)
        if network.input.elementCount > 10_000 {
            network = network.with(
                input: FeatureMapShape(height: 40, width: 40, channels: 3), classes: 5, merge: .concat)
        }
        let branches = try network.split(into: 4)
        var random = SeededGenerator(seed: 4)
        let result = try Self.error(branches, .random(for: branches, using: &random))
        #expect(result.error < 0.005)
    }

    @Test("Large activations and large weights fit: their scale goes from layer to layer in the weights") func scales()
        throws
    {
        let network = BranchedNetwork(
            base: "none", input: FeatureMapShape(height: 4, width: 4, channels: 3),
            branches: [
                [.convolution(outputs: 2, kernel: 1), .relu, .output(of: 0), .add(1), .fullyConnected(outputs: 3)]
            ],
            classes: 2, merge: .concat)
        let parameters = ModelParameters(
            branches: [
                [
                    LayerParameters(weight: [90, 3, -40, 1, 0.5, 7], bias: [-300, 2]), nil, nil, nil,
                    LayerParameters(weight: (0..<96).map { Float($0 % 7) / 300 }, bias: [0, 1, 2]),
                ]
            ], merge: LayerParameters(weight: Array(repeating: 0.1, count: 6), bias: [0, 0]))
        let result = try Self.error(network, parameters)
        #expect(result.error < 0.005)
        #expect(result.branch.scales[0] == 1 && result.branch.scales[1] > 64)
        // What is added, and the sum, have one scale.
        #expect(Set(result.branch.scales[1...4]).count == 1)
        #expect(result.branch.scales.allSatisfy { $0.significand == 1 })
    }

    @Test("A sum that no scale is large enough for, and a softmax, are told in a sentence") func refused() throws {
        func converter(_ layers: [Layer], _ branch: BranchParameters) throws -> FixedPointConverter {
            let network = BranchedNetwork(
                base: "none", input: FeatureMapShape(height: 2, width: 2, channels: 1), branches: [layers], classes: 2,
                merge: .concat)
            return try FixedPointConverter(
                network: network,
                parameters: ModelParameters(
                    branches: [branch], merge: LayerParameters(weight: Array(repeating: 1, count: 8), bias: [0, 0])),
                preprocessing: .init(mean: [0], standardDeviation: [1]))
        }
        let nine = LayerParameters(weight: [9], bias: [0])
        let looped = try converter(
            [.convolution(outputs: 1, kernel: 1), .convolution(outputs: 1, kernel: 1), .add(0)], [nine, nine, nil])
        #expect {
            try looped.branch(0, pixels: [1, 2, 3, 4])
        } throws: {
            "\($0)".contains("no scales for fixed point")
        }
        #expect {
            try converter([.softmax], [nil])
        } throws: {
            "\($0)".contains("no arithmetic in fixed point")
        }
    }
}
