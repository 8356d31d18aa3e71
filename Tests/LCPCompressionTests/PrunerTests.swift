import LCPInference
import LCPModels
import Platform
import Testing

@testable import LCPCompression

@Suite("Pruning a model") struct PrunerTests {
    private static let input = FeatureMapShape(height: 8, width: 8, channels: 3)

    @Test("Channels that are added, or passed on one by one, belong together; what leaves the branch stays")
    func groups() throws {
        // 0 conv 4, 1 ReLU, 2 depthwise, 3 conv 6, 4 conv 6 of 1, 5 add 3, 6 concatenate with 2, 7 conv 5, 8 conv 2
        let layers: [Layer] = [
            .convolution(outputs: 4, kernel: 3, padding: 1), .relu, .depthwiseConvolution(kernel: 3, padding: 1),
            .convolution(outputs: 6, kernel: 1), .convolution(outputs: 6, kernel: 3, padding: 1), .add(3),
            .concatenate([2]), .convolution(outputs: 5, kernel: 1), .convolution(outputs: 2, kernel: 1),
        ]
        let groups = try ChannelGroups(layers, input: Self.input)
        let first = groups.segments(of: 1)
        #expect(groups.segments(of: 3) == first && groups.segments(of: 5) == groups.segments(of: 6))
        #expect(groups.segments(of: 7) == groups.segments(of: 6) + first)
        #expect(groups.free.map { groups.groups[$0].width } == [4, 6, 5])
        #expect(groups.free.map { groups.groups[$0].producers.sorted() } == [[0], [3, 4], [7]])
        #expect(groups.convolutionWeights(layers, left: [:]) == 108 + 36 + 24 + 324 + 50 + 10)
        // One of 4 goes: 27 + 9 + 6 weights; in the concatenation 5 more.
        #expect(groups.convolutionWeights(layers, left: [first[0].group: 3]) == 81 + 27 + 18 + 324 + 45 + 10)
    }

    @Test("Convolutions in groups stay as they are, and so does what they read") func grouped() throws {
        let layers: [Layer] = [
            .convolution(outputs: 4, kernel: 1), .convolution(outputs: 8, kernel: 3, groups: 2),
            .convolution(outputs: 5, kernel: 1), .globalAveragePool, .fullyConnected(outputs: 2),
        ]
        let groups = try ChannelGroups(layers, input: Self.input)
        #expect(groups.free.map { groups.groups[$0].width } == [5])
    }

    @Test(
        "Channels that nobody hears are taken out, and nothing else changes",
        arguments: [
            "resnet18", "mobilenet", "cifarnet-bn", "cifarnet", "alexnet",
        ])
    func unheard(name: String) throws {
        let whole = try Network.named(name).with(
            input: FeatureMapShape(height: 96, width: 96, channels: 3), classes: 3, merge: .concat)
        let network = try whole.split(into: 8)
        var random = SeededGenerator(seed: 9)
        var parameters = try ModelParameters.random(for: network, using: &random).branches[0]
        let layers = network.branches[0]
        let groups = try ChannelGroups(layers, input: network.input)
        let kept = groups.free.reduce(into: [Int: [Int]]()) { kept, group in
            let all = Array(0..<groups.groups[group].width)
            kept[group] = all.filter { $0 == 0 || random.index(2) == 0 }
        }
        #expect(!kept.isEmpty && kept.contains { $0.value.count < groups.groups[$0.key].width })
        // Whoever reads a channel that goes multiplies it by 0.
        let shapes = try Layer.shapes(of: layers, input: network.input)
        for (index, layer) in layers.enumerated() {
            guard let dimensions = layer.weightDimensions(input: shapes[index]), dimensions.count > 1,
                dimensions[1] > 1 || shapes[index].channels == 1
            else { continue }
            let channels = shapes[index].channels
            let taps = dimensions.dropFirst().reduce(1, *) / channels
            var offset = 0
            for segment in groups.segments(of: index) {
                for channel in 0..<segment.width where kept[segment.group]?.contains(channel) == false {
                    for output in 0..<dimensions[0] {
                        for tap in 0..<taps {
                            parameters[index]?.weight[(output * channels + offset + channel) * taps + tap] = 0
                        }
                    }
                }
                offset += segment.width
            }
        }
        // A response normalisation hears its neighbours.
        guard !layers.contains(where: { if case .localResponseNormalization = $0 { true } else { false } }) else {
            return
        }
        let pruned = try PrunedBranch(layers, parameters, input: network.input, groups: groups, kept: kept)
        var smaller = network
        smaller.branches[0] = pruned.layers
        let preprocessing = ModelManifest.Preprocessing.usual(for: network.input)
        let engines = try [(network, parameters), (smaller, pruned.parameters)].map {
            try BranchEngine(
                network: $0.0, branch: 0, parameters: $0.1, mergeWeights: nil, preprocessing: preprocessing)
        }
        let pixels = (0..<network.input.elementCount).map { UInt8($0 * 11 % 256) }
        try pixels.withUnsafeBytes { pixels in for engine in engines { try engine.run(pixels: pixels) } }
        let largest = engines[0].output.reduce(0) { max($0, abs($1)) }
        #expect(largest > 0 && engines[0].outputCount == engines[1].outputCount)
        #expect(zip(engines[0].output, engines[1].output).allSatisfy { abs($0 - $1) < 1e-4 * largest })
        #expect(try smaller.parameterCount(of: 0) < network.parameterCount(of: 0))
    }

    private static func pruner(_ network: BranchedNetwork, seed: UInt64 = 2) throws -> Pruner {
        var random = SeededGenerator(seed: seed)
        let pixels = (0..<20 * network.input.elementCount).map { _ in UInt8(random.index(256)) }
        return try Pruner(
            network: network, parameters: .random(for: network, using: &random),
            preprocessing: .usual(for: network.input), pixels: pixels,
            labels: (0..<20).map { _ in random.index(network.classes) })
    }

    @Test("Weights of a fully connected layer that go with a channel are part of its price") func connected() throws {
        let layers: [Layer] = [
            .convolution(outputs: 4, kernel: 3, padding: 1), .maxPool(size: 2, stride: 2),
            .convolution(outputs: 6, kernel: 1), .relu, .fullyConnected(outputs: 7), .fullyConnected(outputs: 2),
        ]
        let groups = try ChannelGroups(layers, input: Self.input)
        let last = try #require(groups.free.last)
        #expect(groups.connectedWeights(layers, left: [:]) == 7 * 6 * 16 + 2 * 7)
        #expect(groups.connectedWeights(layers, left: [last: 4]) == 7 * 4 * 16 + 2 * 7)

        // Either convolution would do; taking from the first leaves the rest of the network as it is.
        let network = BranchedNetwork(
            base: "none", input: Self.input,
            branches: [
                [
                    .convolution(outputs: 16, kernel: 3, padding: 1), .relu,
                    .convolution(outputs: 16, kernel: 3, padding: 1), .relu, .fullyConnected(outputs: 40),
                ]
            ], classes: 4, merge: .concat)
        let result = try Self.pruner(network).prune(share: 0.4) { _ in true }
        let widths = result.network.branches[0].compactMap(\.width)
        #expect(widths[0] < 16 && widths[1] == 16, "\(widths)")
    }

    @Test("At least the share that is asked for goes, in every branch, and the network stays sound") func budget()
        throws
    {
        for share in [0.1, 0.5, 0.8] {
            let network = try Network.lenet.split(into: 2)
            let result = try Self.pruner(network).prune(share: share) { _ in true }
            #expect(Double(result.weightsAfter) <= Double(result.weightsBefore) * (1 - share))
            try result.network.validate()
            for branch in network.branches.indices {
                let widths = result.network.branches[branch].compactMap(\.width)
                #expect(widths.allSatisfy { $0 > 0 })
                // Fully connected layers keep their outputs.
                #expect(widths.last == network.branches[branch].compactMap(\.width).last)
            }
            _ = try BranchEngine(result.network, branch: 1, of: result.parameters)
        }
    }

    @Test("A share that would leave no channel is refused with what can go") func tooMuch() throws {
        let error = #expect(throws: NetworkError.self) {
            try Self.pruner(Network.lenet.split(into: 4)).prune(share: 0.9999) { _ in true }
        }
        #expect(error?.description.contains("% can go") == true)
        #expect(throws: CancellationError.self) {
            try Self.pruner(Network.lenet.split(into: 4)).prune(share: 0.5) { _ in false }
        }
    }

    @Test("The channel that matters least goes first") func importance() throws {
        // Channel 1 makes nothing, and is read with small weights.
        let layers: [Layer] = [
            .convolution(outputs: 4, kernel: 1), .relu, .convolution(outputs: 3, kernel: 8), .relu,
        ]
        let network = BranchedNetwork(base: "t", input: Self.input, branches: [layers], classes: 9, merge: .concat)
        var random = SeededGenerator(seed: 4)
        var parameters = try ModelParameters.random(for: network, using: &random)
        parameters.branches[0][0] = LayerParameters(
            weight: [1, 1, 1, 0.01, 0.01, 0.01, 1, 1, 1, 1, 1, 1], bias: [2, 0, 2, 2])
        let pixels = (0..<10 * Self.input.elementCount).map { _ in UInt8(random.index(256)) }
        let pruner = try Pruner(
            network: network, parameters: parameters, preprocessing: .usual(for: Self.input), pixels: pixels,
            labels: (0..<10).map { $0 % 9 })
        let result = try pruner.prune(share: 0.2) { _ in true }
        #expect(result.network.branches[0].compactMap(\.width) == [3, 3])
        #expect(result.parameters.branches[0][0]?.bias == [2, 2, 2])
    }
}
