import CBranchKernels
import LCPModels
import Platform
import Testing

@testable import LCPInference

@Suite struct WinogradTests {
    @Test(arguments: BranchEngineTests.kernels.compactMap(\.self))
    func oddSizesMatchAnIndependentReference(_ kernels: Kernels) throws {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<3 {
            let input = FeatureMapShape(
                height: 15 + random.index(4), width: 15 + random.index(4), channels: 17 + random.index(15))
            let outputs = 17 + random.index(20)
            let layers: [Layer] = [
                .convolution(outputs: outputs, kernel: 3, padding: random.index(3)), .relu,
                .convolution(outputs: outputs, kernel: 3, padding: 1, hasBias: false), .add(1), .relu6,
            ]
            let network = BranchedNetwork(base: "t", input: input, branches: [layers], classes: 1 << 19, merge: .concat)
            let shapes = try network.shapes(of: 0)
            let parameters = BranchParameters(
                zip(layers, shapes).map { layer, shape in
                    guard let dimensions = layer.weightDimensions(input: shape) else { return nil }
                    let limit = (6 / Float(shape.channels * 9)).squareRoot()
                    return LayerParameters(
                        weight: (0..<dimensions.reduce(1, *)).map { _ in random.uniform(-limit, limit) },
                        bias: layer.hasBias ? (0..<dimensions[0]).map { _ in random.uniform(-1, 1) } : [])
                })
            let graph = try BranchGraph(lowering: layers, shapes: shapes, parameters: parameters, head: nil)
                .optimized(for: kernels)
            #expect(graph.nodes.count == 2)
            #expect(graph.nodes.contains { Winograd.isWorth($0, lanes: kernels.lanes) })
            let engine = try BranchEngine(
                network: network, branch: 0, parameters: parameters, mergeWeights: nil,
                preprocessing: .init(
                    mean: Array(repeating: 0, count: input.channels),
                    standardDeviation: Array(repeating: 1, count: input.channels)), kernels: kernels)
            let hwc = (0..<input.elementCount).map { _ in random.uniform(-1, 1) }
            let area = input.height * input.width
            let chw = (0..<input.elementCount).map { Double(hwc[$0 % area * input.channels + $0 / area]) }
            try hwc.withUnsafeBytes { try engine.run(normalized: $0) }
            let expected = Reference.run(layers, shapes, parameters, input: chw)
            let worst = zip(engine.output, expected).map { abs(Double($0) - $1) }.max() ?? .infinity
            #expect(worst < 2e-5, "\(layers) on \(input)")
        }
    }
}
