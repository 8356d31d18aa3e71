import Foundation
import LCPInference
import LCPModels
import Platform
import Testing

/// The zoo's networks beside PyTorch in double precision: see Tests/Fixtures/make-torch.py.
@Suite struct TorchTests {
    struct Golden: Decodable, CustomStringConvertible {
        var network: String
        var branches: Int
        var seed: UInt64
        var count: Int
        var sum: Double
        var norm: Double
        var places: [Int]
        var values: [Double]

        var description: String { "\(network) in \(branches)" }
    }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/torch")

    static let goldens: [Golden] = {
        let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        return files.sorted { $0.path < $1.path }.compactMap {
            try? JSONDecoder().decode(Golden.self, from: Data(contentsOf: $0))
        }
    }()

    @Test func allNetworksAreThere() {
        #expect(Set(Self.goldens.map(\.network)) == Set(Network.zoo.map(\.name)))
    }

    @Test(arguments: goldens) func aBranchComputesWhatPyTorchDoes(_ golden: Golden) throws {
        let network = try Network.named(golden.network).split(into: golden.branches)
        let shapes = try network.shapes(of: 0)
        var random = SeededGenerator(seed: golden.seed)
        func uniform(_ low: Float, _ high: Float, _ count: Int) -> [Float] {
            [Float](unsafeUninitializedCapacity: count) { values, filled in
                for index in 0..<count { values[index] = random.uniform(low, high) }
                filled = count
            }
        }
        func weights(_ count: Int, _ numerator: Float, _ denominator: Int) -> [Float] {
            let limit = (numerator / Float(denominator)).squareRoot()
            return uniform(-limit, limit, count)
        }
        let parameters: BranchParameters = zip(network.branches[0], shapes).map { layer, shape in
            guard let dimensions = layer.weightDimensions(input: shape) else { return nil }
            let outputs = dimensions[0]
            guard !layer.hasStatistics else {
                let (weight, bias) = (uniform(0.5, 1.5, outputs), uniform(-0.1, 0.1, outputs))
                let (mean, variance) = (uniform(-0.5, 0.5, outputs), uniform(0.5, 2, outputs))
                return LayerParameters(weight: weight, bias: bias, runningMean: mean, runningVariance: variance)
            }
            let fanIn = dimensions.dropFirst().reduce(1, *)
            let weight = weights(outputs * fanIn, 6, fanIn)
            return LayerParameters(weight: weight, bias: layer.hasBias ? uniform(-0.1, 0.1, outputs) : [])
        }
        var merge: [Float]?
        if try network.output(of: 0) == .partialLogits {
            let features = try network.featureCount(of: 0)
            merge = weights(network.classes * features, 6, features + network.classes)
        }
        let engine = try BranchEngine(
            network: network, branch: 0, parameters: parameters, mergeWeights: merge,
            preprocessing: .usual(for: network.input))
        random = SeededGenerator(seed: golden.seed + 1)
        let image = uniform(-1, 1, network.input.elementCount)
        try image.withUnsafeBytes { try engine.run(normalized: $0) }

        let found = engine.output.map(Double.init)
        #expect(found.count == golden.count)
        let scale = golden.norm / Double(golden.count).squareRoot()
        let worst = zip(golden.places, golden.values).map { abs(found[$0] - $1) / scale }.max() ?? .infinity
        let sum = found.reduce(0, +)
        let norm = found.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(worst < 1e-4, "of their root mean square")
        #expect(abs(sum - golden.sum) / scale < 1e-4 * Double(golden.count))
        #expect(abs(norm - golden.norm) / golden.norm < 1e-4)
    }
}
