import CBranchKernels
import LCPCompression
import LCPModels
import Platform
import Testing

@testable import LCPInference

@Suite("Arithmetic in eight bits") struct IntegerEngineTests {
    /// A random network without what has no arithmetic in eight bits.
    ///
    /// - Parameter isSmooth: whether it has functions of numbers, products and picked channels, too.
    private static func network(_ random: inout SeededGenerator, isSmooth: Bool = false) throws -> BranchedNetwork? {
        let input = FeatureMapShape(
            height: 1 + random.index(24), width: 1 + random.index(24), channels: 1 + random.index(5))
        let layers = RandomNetworks.layers(&random, input: input, isSmooth: isSmooth).map { layer -> Layer in
            switch layer {
            case .softmax, .prelu, .channelNormalization: .relu
            default: layer
            }
        }
        guard layers.allSatisfy(\.hasIntegerArithmetic) else { return nil }
        let network = BranchedNetwork(
            base: "random", input: input, branches: [layers], classes: 1 + random.index(30), merge: .concat)
        guard (try? network.validate()) != nil else { return nil }
        return network
    }

    private static func preprocessing(_ input: FeatureMapShape) -> ModelManifest.Preprocessing {
        .init(
            mean: Array(repeating: 0.4, count: input.channels),
            standardDeviation: Array(repeating: 0.25, count: input.channels))
    }

    /// HWC to CHW.
    private static func chw(_ numbers: [Float], _ shape: FeatureMapShape) -> [Float] {
        let area = shape.height * shape.width
        return numbers.indices.map { numbers[$0 % area * shape.channels + $0 / area] }
    }

    @Test(
        "Every kernel has the bits of the definition, with one thread and with several, also of functions, products and picked channels",
        arguments: [false, true])
    func sameBits(isSmooth: Bool) throws {
        var random = SeededGenerator(seed: 20_27)
        var (compared, seen, distinct) = (0, Set<String>(), 0)
        let pool = try ThreadPool(threads: 3)
        while compared < 60 {
            guard let network = try Self.network(&random, isSmooth: isSmooth) else { continue }
            let parameters = try RandomNetworks.parameters(for: network, using: &random)
            let preprocessing = Self.preprocessing(network.input)
            let pixels = (0..<network.input.elementCount * 4).map { _ in UInt8(random.index(256)) }
            let quantizer = try Quantizer(network: network, parameters: parameters, preprocessing: preprocessing)
            // Some random networks make nothing but zeros.
            guard let integers = try? quantizer.branch(0, pixels: pixels) else { continue }
            compared += 1
            let layers = quantizer.network.branches[0]
            seen.formUnion(layers.map { $0.description.prefix { $0.isLetter || $0 == " " }.description })
            let hwc = (0..<network.input.elementCount).map { _ in random.uniform(-2, 2.6) }
            let map = IntegerReference.run(
                layers, try quantizer.network.shapes(of: 0), integers, input: Self.chw(hwc, network.input))
            let expected = IntegerReference.output(map, head: integers.head)
            if Set(expected).count > 3 { distinct += 1 }
            for kernels in IntegerKernels.all {
                for (pool, sharesAll) in [(nil, false), (pool, true)] {
                    let engine = try BranchEngine(
                        network: quantizer.network, branch: 0, integers: integers, preprocessing: preprocessing,
                        kernels: kernels, pool: pool, sharesAll: sharesAll)
                    for _ in 0..<2 { try hwc.withUnsafeBytes { try engine.run(normalized: $0) } }
                    #expect(
                        Array(engine.output) == expected,
                        "\(kernels), \(pool?.threads ?? 1) threads: \(layers) on \(network.input)")
                }
            }
        }
        #expect(seen.count >= (isSmooth ? 20 : 12) && distinct > 40, "\(seen.sorted()), \(distinct)")
    }

    @Test(
        "Sums behind convolutions and blocks of columns have the bits of the definition, too",
        arguments: [
            "resnet18", "mobilenet",
        ])
    func residual(name: String) throws {
        let small = try Network.named(name).with(
            input: FeatureMapShape(height: 40, width: 40, channels: 3), classes: 10, merge: .sum)
        let network = try small.split(into: 8)
        var random = SeededGenerator(seed: 6)
        let parameters = try RandomNetworks.parameters(for: network, using: &random)
        let preprocessing = Self.preprocessing(network.input)
        let pixels = (0..<network.input.elementCount * 2).map { _ in UInt8(random.index(256)) }
        let quantizer = try Quantizer(network: network, parameters: parameters, preprocessing: preprocessing)
        let integers = try quantizer.branch(0, pixels: pixels)
        let layers = quantizer.network.branches[0]
        let shapes = try quantizer.network.shapes(of: 0)
        let sums = try BranchGraph(lowering: layers, shapes: shapes, integers: integers).optimized(for: .best).nodes
            .count { $0.integer?.sum != nil }
        #expect((sums > 3) == layers.contains { if case .add = $0 { true } else { false } })
        let hwc = (0..<network.input.elementCount).map { _ in random.uniform(-2, 2.6) }
        let map = IntegerReference.run(layers, shapes, integers, input: Self.chw(hwc, network.input))
        let expected = IntegerReference.output(map, head: integers.head)
        #expect(Set(expected).count > 5)
        for kernels in IntegerKernels.all {
            let engine = try BranchEngine(
                network: quantizer.network, branch: 0, integers: integers, preprocessing: preprocessing,
                kernels: kernels)
            try hwc.withUnsafeBytes { try engine.run(normalized: $0) }
            #expect(Array(engine.output) == expected, "\(kernels)")
        }
    }

    @Test("A quantised network answers nearly as the one in single precision")
    func nearFloat() throws {
        var random = SeededGenerator(seed: 4)
        for name in ["lenet", "cifarnet", "cifarnet-bn"] {
            let network = try Network.named(name).split(into: 2)
            let parameters = try RandomNetworks.parameters(for: network, using: &random)
            let preprocessing = ModelManifest.Preprocessing.usual(for: network.input)
            let count = network.input.elementCount
            let pixels = (0..<count * 8).map { _ in UInt8(random.index(256)) }
            let quantizer = try Quantizer(network: network, parameters: parameters, preprocessing: preprocessing)
            for branch in network.branches.indices {
                let merge =
                    try network.output(of: branch) == .partialLogits
                    ? network.mergeWeights(of: branch, merge: parameters.merge) : nil
                let float = try BranchEngine(
                    network: network, branch: branch, parameters: parameters.branches[branch], mergeWeights: merge,
                    preprocessing: preprocessing)
                let integer = try BranchEngine(
                    network: quantizer.network, branch: branch, integers: quantizer.branch(branch, pixels: pixels),
                    preprocessing: preprocessing)
                for picture in 0..<8 {
                    try pixels[picture * count..<(picture + 1) * count].withUnsafeBytes {
                        try float.run(pixels: $0)
                        try integer.run(pixels: $0)
                    }
                    let pairs = zip(float.output, integer.output)
                    let largest = float.output.reduce(0) { max($0, abs($1)) }
                    let error = pairs.reduce(0) { max($0, abs($1.0 - $1.1)) } / largest
                    #expect(error < 0.12, "\(name) branch \(branch): \(error)")
                }
            }
        }
    }
}
