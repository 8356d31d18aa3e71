import LCPModels
import Testing

@Suite struct CostTests {
    static func cost(_ name: String, _ branches: Int, fattening: Fattening = .none) throws -> NetworkCost {
        let network = try Network.named(name)
        return try NetworkCost(try network.split(into: branches, fattening: fattening), original: network)
    }

    static func method(_ method: SpreadingCost.Method, _ cost: NetworkCost) throws -> SpreadingCost {
        try #require(cost.methods.first { $0.method == method })
    }

    /// Two convolutions with a normalisation between them and a fully connected layer, small enough for a pencil.
    static let small = Network(
        name: "small", input: .init(height: 4, width: 4, channels: 2),
        layers: [
            .convolution(outputs: 4, kernel: 3, padding: 1, hasBias: false), .batchNormalization(), .relu,
            .maxPool(size: 2, stride: 2), .fullyConnected(outputs: 6), .relu,
        ],
        classes: 3, merge: .concat)

    @Test func aSmallNetworkByHand() throws {
        let cost = try NetworkCost(Self.small.split(into: 1), original: Self.small)
        let branch = cost.branches[0]
        #expect(branch.layers.map(\.parameters) == [72, 8, 0, 0, 102, 0])
        #expect(branch.layers.map(\.macs) == [16 * 72, 0, 0, 0, 96, 0])
        // Two running statistics for each of four channels besides.
        #expect(branch.layers.map(\.weightBytes) == [288, 64, 0, 0, 408, 0])
        #expect(branch.layers.map(\.activationBytes) == [256, 256, 256, 64, 24, 24])
        // 32 numbers come into the convolution and 64 go out; ReLU and normalisation overwrite; pooling has 64 and 16.
        #expect(branch.peakActivationBytes == 4 * 96)
        // Six features are more than three classes, so the device multiplies by W.
        #expect(branch.mergeParameters == 18 && branch.mergeMACs == 18 && branch.outputBytes == 12)
        #expect(branch.memoryBytes == 760 + 4 * 18 + 4 * 96)
        #expect(cost.merge.parameters == 21 && cost.merge.macs == 18)
        #expect(cost.parameters == 203 && cost.macs == 1266)
    }

    @Test func aSmallNetworkSpreadByHand() throws {
        let cost = try NetworkCost(Self.small.split(into: 2), original: Self.small)
        let whole = 203
        let single = try Self.method(.single, cost)
        #expect(single.parameters == whole && single.bytes == 32 + 12 && single.connectedPairs == 2)
        let copies = try Self.method(.dataParallel, cost)
        #expect(copies.parameters == 2 * whole && copies.macs == 1266 && copies.largestMACs == 1266)
        let byOutput = try Self.method(.modelParallelByOutput, cost)
        // Half of the convolution with its normalisation, half of the hidden layer, two of the three classes.
        #expect(byOutput.largestParameters == 36 + 4 + 51 + 14 && byOutput.largestMACs == 576 + 48 + 12)
        // Pixels twice, then the whole input of each layer twice and its output once.
        #expect(byOutput.bytes == 2 * 32 + 256 + 2 * 64 + 24 + 2 * 24 + 12 && byOutput.connectedPairs == 3 * 4)
        let byInput = try Self.method(.modelParallelByInput, cost)
        #expect(byInput.largestParameters == 36 + 48 + 9 && byInput.largestMACs == 576 + 48 + 9)
        #expect(byInput.bytes == 32 + 2 * 256 + 64 + 2 * 24 + 24 + 2 * 12 && byInput.connectedPairs == 3 * 4)
        let tree = try Self.method(.splitNet, cost)
        // Whole convolution, then two groups of three hidden features and their classes: two in one, one in the other.
        #expect(tree.parameters == 80 + 2 * 51 + 3 * 3 + 3 && tree.largestParameters == 80 + 51 + 2 * 4)
        #expect(tree.macs == 1152 + 2 * 48 + 9 && tree.largestMACs == 1152 + 48 + 6)
        #expect(tree.bytes == 32 + 64 + 12 && tree.connectedPairs == 1 + 1 + 2)
        let lcp = cost.methods[0]
        #expect(lcp.method == .lcp && lcp.bytes == 2 * (32 + 12) && lcp.connectedPairs == 4)
    }

    @Test func aDepthwiseConvolutionNeedsNoCopies() throws {
        let network = Network(
            name: "depthwise", input: .init(height: 4, width: 4, channels: 2),
            layers: [
                .convolution(outputs: 4, kernel: 1, hasBias: false),
                .depthwiseConvolution(kernel: 3, padding: 1, hasBias: false), .globalAveragePool,
            ], classes: 3, merge: .concat)
        let cost = try NetworkCost(network.split(into: 2), original: network)
        // A device needs only the channels that it makes, and nobody adds up.
        let byOutput = try Self.method(.modelParallelByOutput, cost)
        #expect(byOutput.bytes == (2 * 32 + 256) + (256 + 256) + (2 * 16 + 12))
        #expect(byOutput.largestMACs == 64 + 288 + 8 && byOutput.largestParameters == 4 + 18 + 10)
        let byInput = try Self.method(.modelParallelByInput, cost)
        #expect(byInput.bytes == (32 + 2 * 256) + (256 + 256) + (16 + 2 * 12))
        #expect(byInput.largestMACs == 64 + 288 + 6 && byInput.largestParameters == 4 + 18 + 6)
    }

    @Test func leNetInFourBranchesByHand() throws {
        let cost = try Self.cost("lenet", 4)
        let branch = cost.branches[0]
        #expect(branch.layers.map(\.parameters) == [26, 0, 0, 104, 0, 0, 3030, 0, 651, 0])
        #expect(branch.layers.map(\.macs) == [784 * 25, 0, 0, 100 * 100, 0, 0, 3000, 0, 630, 0])
        #expect(branch.parameters == 3811 && branch.macs == 33_230)
        #expect(branch.mergeParameters == 210 && branch.outputBytes == 40 && branch.inputBytes == 784)
        // The image and the first feature map.
        #expect(branch.peakActivationBytes == 4 * (784 + 784))
        #expect(cost.merge.parameters == 850 && cost.merge.macs == 840)
        #expect(cost.parameters == 16_094 && cost.macs == 4 * 33_230 + 840)
        let lcp = cost.methods[0]
        #expect(lcp.largestParameters == 3811 + 210 && lcp.largestMACs == 33_230 + 210)
        #expect(lcp.bytes == 4 * (784 + 40) && lcp.connectedPairs == 8)
    }

    @Test func skipConnectionsStayAlive() throws {
        let network = BranchedNetwork(
            base: "skip", input: .init(height: 2, width: 2, channels: 1),
            branches: [
                [
                    .convolution(outputs: 8, kernel: 1), .convolution(outputs: 2, kernel: 1),
                    .convolution(outputs: 8, kernel: 1), .add(0), .dropout(rate: 0.5), .relu,
                ]
            ], classes: 64, merge: .concat)
        // The third convolution reads 8 numbers and makes 32, while the first's 32 wait; everything after works in place.
        #expect(try network.cost(of: 0).peakActivationBytes == 4 * (32 + 8 + 32))
        var named = network
        // A name for an earlier output copies nothing: 32 stay, 32 are added to, and the side path makes 32.
        named.branches[0] = [
            .convolution(outputs: 8, kernel: 1), .convolution(outputs: 8, kernel: 1), .output(of: 0),
            .convolution(outputs: 8, kernel: 1), .add(1),
        ]
        #expect(try named.cost(of: 0).peakActivationBytes == 4 * 96)
    }

    /// AlexNet has eight layers with work, and the paper counts eight times fewer connected pairs.
    @Test(arguments: [("alexnet", 8), ("lenet", 5), ("vgg16", 16)])
    func aConnectedPairPerLayerIsSaved(name: String, layers: Int) throws {
        let cost = try Self.cost(name, 8)
        let parallel = try Self.method(.modelParallelByOutput, cost)
        // LeNet's six channels occupy only six of eight devices.
        let missing = name == "lenet" ? 4 : 0
        #expect(parallel.connectedPairs == layers * cost.methods[0].connectedPairs - missing)
    }

    @Test(arguments: Network.zoo.map(\.name), [1, 2, 3, 4, 5, 8, 16, 64])
    func totalsAreSums(name: String, branches: Int) throws {
        for fattening: Fattening in [0, 40] {
            let network = try Network.named(name)
            let split = try network.split(into: branches, fattening: fattening)
            try split.validate()
            let cost = try NetworkCost(split, original: network)
            #expect(cost.branches.count == branches)
            #expect(cost.parameters == cost.branches.reduce(cost.merge.parameters) { $0 + $1.parameters })
            #expect(cost.macs == cost.branches.reduce(cost.merge.macs) { $0 + $1.macs })
            #expect(cost.weightBytes == cost.branches.reduce(cost.merge.weightBytes) { $0 + $1.weightBytes })
            #expect(try cost.parameters == split.parameterCount() && cost.macs == split.macs())
            for branch in cost.branches {
                #expect(branch.parameters == branch.layers.reduce(0) { $0 + $1.parameters })
                #expect(branch.macs == branch.layers.reduce(0) { $0 + $1.macs })
                #expect(branch.peakActivationBytes >= 4 * split.input.elementCount)
                #expect(branch.memoryBytes > branch.weightBytes + branch.peakActivationBytes - 1)
            }
        }
    }

    @Test(arguments: Network.zoo.map(\.name), [2, 4, 8, 16])
    func everyMethodIsBounded(name: String, devices: Int) throws {
        let network = try Network.named(name)
        let cost = try Self.cost(name, devices)
        let single = try Self.method(.single, cost)
        #expect(try single.parameters == network.split(into: 1).parameterCount())
        for method in cost.methods where method.method != .single {
            #expect(method.devices == devices)
            #expect(method.largestMACs <= single.macs && method.largestMACs > 0)
            #expect(
                method.largestMACs * devices >= method.macs || method.method == .dataParallel || method.method == .lcp)
            #expect(method.largestParameters <= single.parameters)
            #expect(method.bytes >= network.input.elementCount + 4 * min(network.classes, method.devices))
        }
        // LeNet's ten classes have no sixteen groups, and LeNet-FC has two places to part in.
        let isPossible = network.classes >= devices && (name != "lenet-fc" || devices <= 4)
        let tree = cost.methods.first { $0.method == .splitNet }
        #expect((tree != nil) == isPossible)
        if let tree {
            #expect(tree.connectedPairs == 2 * devices && tree.macs <= single.macs)
            // A tree that parts late keeps more than branches that never meet.
            #expect(tree.largestMACs >= cost.methods[0].largestMACs)
        }
    }

    @Test func withoutAnOriginalThereIsNothingBeside() throws {
        let cost = try NetworkCost(Network.lenet.split(into: 4), original: nil)
        #expect(cost.methods.map(\.method) == [.lcp])
    }

    @Test func theOriginalIsFoundByItsLayers() throws {
        for network in Network.zoo {
            let other = network.with(classes: 7, merge: .concat)
            #expect(try other.split(shares: [3, 1], fattening: 30).original == other)
        }
        var changed = try Network.lenet.split(into: 2)
        changed.branches[1].removeLast()
        #expect(changed.original == nil)
        changed.base = "unknown"
        #expect(changed.original == nil && changed.unsplit == nil)
        #expect(try Network.lenet.split(into: 1).unsplit == .lenet)
    }

    @Test func sizesThatNoNumberHoldsAreRefused() {
        let wide = [Layer.fullyConnected(outputs: 1 << 20)]
        let huge = BranchedNetwork(
            base: "huge", input: .init(height: 16_384, width: 16_384, channels: 1),
            branches: [wide + [.convolution(outputs: 65_536, kernel: 1024, padding: 1023)]], classes: 10, merge: .concat
        )
        #expect(throws: NetworkError.self) { try huge.validate() }
        let input = FeatureMapShape(height: .max, width: .max, channels: .max)
        #expect(throws: NetworkError.self) { try Network.lenet.with(input: input).split(into: 2) }
        #expect(throws: NetworkError.self) { try Network.lenet.with(classes: .max).split(into: 2) }
        #expect(throws: NetworkError.self) {
            try Network.lenet.split(into: 2, fattening: Fattening(convolutions: 0, fullyConnected: .max))
        }
        // One layer does little, a thousand in 64 branches more than an Int could count.
        let deep = [Layer](repeating: .convolution(outputs: 1, kernel: 1023, padding: 511), count: 1024)
        let slow = BranchedNetwork(
            base: "slow", input: huge.input, branches: Array(repeating: deep, count: 64), classes: 10, merge: .sum)
        #expect(throws: NetworkError.self) { try NetworkCost(slow, original: nil) }
    }
}
