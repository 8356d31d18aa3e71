import LCPModels
import Platform
import Testing

@Suite("A shape of branches") struct BranchShapeTests {
    @Test("A network's own split is the split that the paper makes", arguments: ["lenet", "cifarnet-bn", "resnet18"])
    func own(name: String) throws {
        let base = try Network.named(name)
        let shape = try BranchShape(of: base, branches: 4, fattening: 20)
        #expect(try shape.network(of: base) == base.split(into: 4, fattening: 20))
        #expect(shape.hasLayers(of: base))
    }

    @Test("Another kernel keeps the size of the image, also where the network's own does not")
    func kernels() throws {
        let base = try Network.named("cifarnet-bn")
        for (text, side) in [("2x8k5-8k5-48-24/sum", 28), ("2x8k3-8k5-48-24/sum", 32), ("2x8k7s-8k5-48-24/sum", 32)] {
            let shape = try #require(BranchShape(text))
            #expect(try shape.network(of: base).shapes(of: 0)[1].height == side)
            #expect(shape.hasLayers(of: base) == (side == 28))
        }
    }

    @Test("Convolutions more, pooled or not, and separable ones fit, with normalisation where the network has some")
    func more() throws {
        let base = try Network.named("cifarnet-bn")
        let shape = try #require(BranchShape("8x8k5+p-8k5s++-48-24/concat"))
        let network = try shape.network(of: base)
        let layers = network.branches[0]
        #expect(
            layers.count { if case .convolution(_, Window(size: 3, padding: 1), _, false) = $0 { true } else { false } }
                == 3)
        #expect(layers.count { if case .depthwiseConvolution = $0 { true } else { false } } == 1)
        #expect(layers.count { if case .maxPool = $0 { true } else { false } } == 3)
        #expect(layers.count { $0.hasStatistics } == base.layers.count { $0.hasStatistics } + 3)
        #expect(try network.featureCount(of: 0) == 24 && network.merge == .concat)
    }

    @Test("A shape that is none of the network is refused, with what the network has")
    func refused() throws {
        let base = try Network.named("cifarnet-bn")
        for text in ["8x8k5-48-24/sum", "8x8k5-8k5-48/sum", "8x8k5-8k5-8k5-48-24/sum"] {
            let error = #expect(throws: NetworkError.self) { try #require(BranchShape(text)).network(of: base) }
            #expect(error?.description.contains("2 convolutions and 2 fully connected layers") == true)
        }
        #expect(throws: NetworkError.self) { try #require(BranchShape("999x8k5-8k5-48-24/sum")).network(of: base) }
        // Four poolings more leave nothing of 5 x 5.
        #expect(throws: NetworkError.self) {
            try #require(BranchShape("8x8k5-8k5+p+p+p+p-48-24/sum")).network(of: base)
        }
        let residual = try Network.named("resnet18")
        var other = try BranchShape(of: residual, branches: 2)
        other.convolutions[0].more = [false]
        let error = #expect(throws: NetworkError.self) { try other.network(of: residual) }
        #expect(error?.description.contains("only its widths can change") == true)
    }

    @Test("Any shape is read from its text again")
    func text() throws {
        var random = SeededGenerator(seed: 5)
        var shape = try BranchShape(of: .named("cifarnet-bn"), branches: 8)
        for _ in 0..<200 {
            shape.branches = 1 + random.index(32)
            for layer in shape.convolutions.indices {
                shape.convolutions[layer].width = 1 + random.index(4096)
                shape.convolutions[layer].kernel = 1 + random.index(11)
                shape.convolutions[layer].isSeparable = random.index(2) == 0
                shape.convolutions[layer].more = (0..<random.index(5)).map { _ in random.index(2) == 0 }
            }
            shape.fullyConnected = (0..<random.index(4)).map { _ in 1 + random.index(4096) }
            shape.merge = random.index(2) == 0 ? .sum : .concat
            #expect(BranchShape("\(shape)") == shape)
        }
    }

    @Test(
        "Text that is no shape is none",
        arguments: [
            "", "8x", "8x/sum", "x8k5/sum", "8x8k5", "8x8k5/none", "8x8k5-/sum", "8x8k/sum", "8x8k5x/sum",
            "8x8k5+q/sum",
            "0x8k5/sum", "8x0k5/sum", "8x-8k5/sum", "8x8-8k5/sum", "8x8k5+++++/sum", "8x999999k5/sum", "8x8k5/sum/sum",
            "8x８k5/sum",
        ])
    func noShape(text: String) { #expect(BranchShape(text) == nil) }
}
