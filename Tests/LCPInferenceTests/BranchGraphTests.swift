import LCPModels
import Platform
import Testing

@testable import LCPInference

@Suite struct BranchGraphTests {
    static func graph(_ layers: [Layer], input: FeatureMapShape, head: Bool = false) throws -> BranchGraph {
        let network = BranchedNetwork(base: "t", input: input, branches: [layers], classes: 3, merge: .concat)
        var random = SeededGenerator(seed: 1)
        let parameters = try RandomNetworks.parameters(for: network, using: &random)
        return try BranchGraph(
            lowering: layers, shapes: network.shapes(of: 0), parameters: parameters.branches[0],
            head: head ? parameters.merge.weight : nil)
    }

    let input = FeatureMapShape(height: 6, width: 6, channels: 2)

    @Test func normalisationAndClampGoIntoTheConvolution() throws {
        let graph = try Self.graph(
            [.convolution(outputs: 3, kernel: 3, hasBias: false), .batchNormalization(), .relu6, .dropout(rate: 0.5)],
            input: input)
        #expect(graph.nodes.count == 3)
        let folded = graph.foldingScales().fusingClamps()
        #expect(folded.nodes.count == 1)
        #expect(folded.output == 1)
        #expect(folded.nodes[0].bounds == .init(minimum: 0, maximum: 6))
        guard case .scale(let factors, let offsets) = graph.nodes[1].operation else {
            Issue.record("the normalisation is not a scale")
            return
        }
        let (before, after) = (graph.nodes[0].operation.constants, folded.nodes[0].operation.constants)
        #expect(after.bias == offsets)
        for index in before.weight.indices {
            #expect(after.weight[index] == before.weight[index] * factors[index / 18])
        }
    }

    @Test func whatSomebodyElseReadsStays() throws {
        // The sum reads the convolution before its normalisation, and the output of the first ReLU twice.
        let graph = try Self.graph(
            [
                .convolution(outputs: 2, kernel: 3, padding: 1), .batchNormalization(), .relu, .add(0), .relu,
                .concatenate([2]),
            ], input: input)
        let folded = graph.foldingScales().fusingClamps()
        #expect(
            folded.nodes.map(\.operation.name) == [
                "a convolution", "a batch normalisation", "an addition", "a concatenation",
            ])
        #expect(folded.nodes[0].bounds == .none)
        #expect(folded.nodes[1].bounds.minimum == 0)
        #expect(folded.nodes[2].bounds.minimum == 0)
        #expect(folded.nodes[3].inputs == [3, 2])
        // The same with the un-clamped value read by the output.
        let output = try Self.graph([.fullyConnected(outputs: 4), .relu, .output(of: 0)], input: input)
        #expect(output.foldingScales().fusingClamps().nodes.count == 1)
        #expect(output.optimized().nodes[0].bounds == .none)
        let both = try Self.graph([.fullyConnected(outputs: 4), .relu, .add(0)], input: input).optimized()
        #expect(both.nodes.map(\.operation.name) == ["a fully connected layer", "a clamp", "an addition"])
    }

    @Test func boundsOneBehindTheOther() {
        let relu = BranchGraph.Bounds(minimum: 0, maximum: .infinity)
        let relu6 = BranchGraph.Bounds(minimum: 0, maximum: 6)
        #expect(relu.then(relu6) == relu6)
        #expect(relu6.then(relu) == relu6)
        #expect(BranchGraph.Bounds.none.then(relu) == relu)
        #expect(relu6.then(.init(minimum: 8, maximum: 9)) == .init(minimum: 8, maximum: 8))
    }

    @Test func unreadLayersAreNotComputed() throws {
        let graph = try Self.graph(
            [
                .convolution(outputs: 4, kernel: 3), .relu, .fullyConnected(outputs: 9), .output(of: 1),
                .globalAveragePool,
            ],
            input: input)
        #expect(graph.optimized().nodes.map(\.operation.name) == ["a convolution", "a global average pooling"])
    }

    @Test func everyZooNetworkLosesItsNormalisationsAndClamps() throws {
        for network in Network.zoo {
            let branches = network.input.height > 32 ? 32 : 4
            let split = try network.split(into: branches)
            let layers = split.branches[0]
            let parameters: BranchParameters = zip(layers, try split.shapes(of: 0)).map { layer, shape in
                guard let dimensions = layer.weightDimensions(input: shape) else { return nil }
                let ones = [Float](repeating: 1, count: dimensions[0])
                return LayerParameters(
                    weight: Array(repeating: 1, count: dimensions.reduce(1, *)), bias: layer.hasBias ? ones : [],
                    runningMean: layer.hasStatistics ? ones : [], runningVariance: layer.hasStatistics ? ones : [])
            }
            let graph = try BranchGraph(
                lowering: layers, shapes: split.shapes(of: 0), parameters: parameters, head: nil
            ).optimized()
            for node in graph.nodes {
                if case .scale = node.operation { Issue.record("\(network.name) has a normalisation left") }
                if case .clamp = node.operation { Issue.record("\(network.name) has a clamp left") }
            }
        }
    }

    /// A factor below 0 turns the maximum into a minimum, so it stays behind the pooling.
    @Test(arguments: [([1, 0, 2] as [Float], 0), ([1, -1, 2], 1)])
    func aNormalisationPassesAMaximumWhereItMay(factors: [Float], left: Int) throws {
        let layers: [Layer] = [
            .convolution(outputs: 3, kernel: 1), .maxPool(size: 2, stride: 2), .batchNormalization(), .relu,
        ]
        let split = BranchedNetwork(base: "test", input: input, branches: [layers], classes: 2, merge: .concat)
        var random = SeededGenerator(seed: 5)
        var parameters = try ModelParameters.random(for: split, using: &random).branches[0]
        parameters[2]?.weight = factors
        let graph = try BranchGraph(
            lowering: layers, shapes: split.shapes(of: 0), parameters: parameters, head: nil)
        let scales = graph.optimized().nodes.filter { if case .scale = $0.operation { true } else { false } }
        #expect(scales.count == left)
    }

    @Test func valuesThatAreNeededAtTheSameTimeDoNotOverlap() throws {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<200 {
            let layers = RandomNetworks.layers(&random, input: input)
            let graph = try Self.graph(layers, input: input).optimized()
            let plan = BufferPlan(graph, margin: 4)
            func range(_ value: Int) -> Range<Int> {
                plan.offsets[value]..<plan.offsets[value] + graph.shape(of: value).elementCount + 4
            }
            for value in 0...graph.nodes.count {
                #expect(range(value).upperBound <= plan.count)
                let uses = graph.nodes.indices.filter { graph.nodes[$0].inputs.contains(value) }
                let last = value == graph.output || value == 0 ? graph.nodes.count : uses.last ?? value
                guard value < last else { continue }
                // What is made while the value is still needed lies elsewhere.
                for other in value + 1...min(last + 1, graph.nodes.count) {
                    #expect(!range(other).overlaps(range(value)), "\(other) lies on \(value)")
                }
            }
        }
    }
}
