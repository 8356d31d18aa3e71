import LCPModels
import Testing

@Suite struct FitTests {
    @Test(
        arguments: [
            ("alexnet", 64_000_000, 200_000_000, 4), ("alexnet", 64_000_000, nil, 2), ("alexnet", nil, 200_000_000, 4),
            ("alexnet", nil, 202_000_000, 4), ("alexnet", nil, 203_000_000, 2), ("vgg16", 64_000_000, nil, 4),
            ("vgg16", nil, 300_000_000, 8), ("vgg16", 64_000_000, 300_000_000, 8), ("lenet", 1 << 30, 1 << 30, 1),
        ] as [(String, Int?, Int?, Int)])
    func bothLimitsHold(name: String, memory: Int?, macs: Int?, branches: Int) throws {
        let network = try Network.named(name)
        let fit = try network.fit(memory: memory, macs: macs)
        #expect(fit.network.branches.count == branches)
        #expect(try fit.network == network.split(into: branches))
        #expect(fit.steps.map(\.branches) == [1, 2, 4, 8, 16].filter { $0 <= branches })
        #expect(fit.steps.map(\.fits) == Array(repeating: false, count: fit.steps.count - 1) + [true])
        for step in fit.steps {
            #expect(step.fits == (step.memoryBytes <= memory ?? .max && step.macs <= macs ?? .max))
            let cost = try network.split(into: step.branches).cost(of: 0)
            #expect(step.memoryBytes == cost.memoryBytes && step.macs == cost.macs + cost.mergeMACs)
        }
    }

    @Test func theLimitItselfFits() throws {
        let cost = try Network.lenet.split(into: 2).cost(of: 0)
        #expect(try Network.lenet.fit(memory: cost.memoryBytes, macs: nil).network.branches.count == 2)
        #expect(try Network.lenet.fit(memory: cost.memoryBytes - 1, macs: nil).network.branches.count == 4)
    }

    @Test(arguments: [(3, [1, 3, 9]), (5, [1, 5, 25]), (64, [1, 64])])
    func otherFactorsWork(factor: Int, tried: [Int]) throws {
        let fit = try Network.alexnet.fit(memory: nil, macs: 20_000_000, factor: factor)
        #expect(fit.steps.map(\.branches) == tried)
    }

    @Test func fatBranchesAreFittedFat() throws {
        let thin = try Network.alexnet.fit(memory: 20_000_000, macs: nil)
        let fat = try Network.alexnet.fit(memory: 20_000_000, macs: nil, fattening: 40)
        #expect(thin.network.branches.count == 4 && fat.network.branches.count == 8)
        #expect(try fat.network == Network.alexnet.split(into: 8, fattening: 40))
    }

    @Test func whatNeverFitsSaysWhatItNeeds() throws {
        let error = #expect(throws: NetworkError.self) { try Network.lenet.fit(memory: 1, macs: nil) }
        #expect(error?.description.contains("more than 64 branches") == true)
        let narrow = Network(
            name: "narrow", input: .init(height: 8, width: 8, channels: 1),
            layers: [.convolution(outputs: 3, kernel: 3), .relu], classes: 2, merge: .concat)
        for fattening: Fattening in [0, 100] {
            let further = #expect(throws: NetworkError.self) {
                try narrow.fit(memory: 1, macs: nil, fattening: fattening)
            }
            #expect(further?.description.contains("a branch of 2 still needs") == true)
            #expect(further?.description.contains("no width can be divided further") == true)
        }
    }

    @Test(arguments: [(0, 10, 2), (10, 0, 2), (-1, 10, 2), (10, 10, 1), (10, 10, -2), (1, 1, Int.max)])
    func impossibleWishesAreRefused(memory: Int, macs: Int, factor: Int) {
        #expect(throws: NetworkError.self) { try Network.lenet.fit(memory: memory, macs: macs, factor: factor) }
    }

    @Test func branchesMayDiffer() throws {
        let split = try Network.lenet.split(shares: [2, 1, 1])
        #expect(split.branches.map { $0.compactMap(\.width) } == [[3, 8, 60, 42], [1, 4, 30, 21], [1, 4, 30, 21]])
        #expect(try split.mergedFeatureCount() == 84 && split.mergeColumns(of: 1) == 42..<63)
        #expect(try split.parameterCount() == 15_308 + 2 * 3811 + 850)
        #expect(try Network.lenet.split(shares: [5, 5, 5]) == Network.lenet.split(into: 3))
        #expect(try Network.alexnet.with(merge: .concat).split(shares: [2, 1, 1]).mergedFeatureCount() == 4096)
        let error = #expect(throws: NetworkError.self) { try Network.alexnet.split(shares: [2, 1, 1]) }
        #expect(error?.description.contains("same width") == true)
    }

    @Test(arguments: [[], [0], [1, -1], [2_000_000], Array(repeating: 1, count: 65)])
    func impossibleSharesAreRefused(shares: [Int]) {
        #expect(throws: NetworkError.self) { try Network.lenet.split(shares: shares) }
    }
}
