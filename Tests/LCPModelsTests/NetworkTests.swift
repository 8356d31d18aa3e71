import LCPModels
import Platform
import Testing

@Suite struct NetworkTests {
    /// The paper's counts: Hadidi et al. 2023, LeNet, concat.
    @Test(arguments: [(1, 61_706), (2, 31_466), (4, 16_094), (8, 8_834)])
    func leNetHasThePapersParameters(branches: Int, parameters: Int) throws {
        #expect(try Network.lenet.split(into: branches).parameterCount() == parameters)
    }

    @Test func leNetsMACs() throws { #expect(try Network.lenet.split(into: 1).macs() == 416_520) }

    @Test func widthsAreRoundedDownButNotBelowOne() throws {
        let split = try Network.lenet.split(into: 4)
        #expect(split.branches.allSatisfy { $0 == split.branches[0] })
        #expect(split.branches[0].compactMap(\.width) == [1, 4, 30, 21])
        #expect(try Network.lenet.split(into: 8).branches[0].compactMap(\.width) == [1, 2, 15, 10])
    }

    @Test func partialLogitsAreSentWhereTheyAreFewer() throws {
        #expect(try Network.lenet.split(into: 4).output(of: 0) == .partialLogits)
        // 10 features are not more than 10 classes.
        #expect(try Network.lenet.split(into: 8).output(of: 0) == .features)
        #expect(try Network.lenet.split(into: 4).outputCount(of: 3) == 10)
    }

    @Test(arguments: [-1, 0, 65, 1000])
    func impossibleSplitsAreRefused(branches: Int) {
        #expect(throws: NetworkError.self) { try Network.lenet.split(into: branches) }
    }

    @Test func mergesAreLinear() throws {
        var random = SeededGenerator(seed: 1)
        for merge in [Merge.concat, .sum] {
            let network = BranchedNetwork(
                base: "test", input: .init(height: 1, width: 1, channels: 3),
                branches: Array(repeating: [.fullyConnected(outputs: 5)], count: 3), classes: 4, merge: merge)
            let parameters = try ModelParameters.random(for: network, using: &random)
            let features = (0..<3).map { _ in (0..<5).map { _ in random.uniform(-1, 1) } }
            let merged =
                merge == .concat
                ? features.flatMap { $0 } : (0..<5).map { index in features.reduce(Float(0)) { $0 + $1[index] } }
            let columns = merged.count
            for row in 0..<4 {
                let whole = (0..<columns).reduce(Float(0)) {
                    $0 + parameters.merge.weight[row * columns + $1] * merged[$1]
                }
                var parts: Float = 0
                for branch in 0..<3 {
                    let weights = try network.mergeWeights(of: branch, merge: parameters.merge)
                    for index in 0..<5 { parts += weights[row * 5 + index] * features[branch][index] }
                }
                #expect(abs(whole - parts) < 1e-5)
            }
        }
    }
}
