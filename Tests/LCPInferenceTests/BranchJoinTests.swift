import LCPModels
import Platform
import Testing

@testable import LCPInference

@Suite struct BranchJoinTests {
    @Test(
        "A branch's share is each class's weights times its features, added up in their order, to the bit",
        arguments: [(3, 2), (16, 16), (17, 5), (100, 64), (1000, 40)])
    func share(classes: Int, features: Int) throws {
        var random = SeededGenerator(seed: UInt64(classes))
        let network = BranchedNetwork(
            base: "test", input: .init(height: 2, width: 2, channels: 1),
            branches: Array(repeating: [.fullyConnected(outputs: features)], count: 2), classes: classes, merge: .concat
        )
        let parameters = try ModelParameters.random(for: network, using: &random)
        let join = try BranchJoin(network: network, merge: parameters.merge)
        let output = (0..<features).map { _ in Float.random(in: -1...1, using: &random) }
        for branch in 0..<2 {
            let weights = try network.mergeWeights(of: branch, merge: parameters.merge)
            let expected = (0..<classes).map { row in
                (0..<features).reduce(Float(0)) { $0 + weights[row * features + $1] * output[$1] }
            }
            var share = [Float](repeating: -1, count: classes)
            // At an odd address, as in a message.
            try output.withUnsafeBytes { bytes in
                let odd = [0] + Array(bytes)
                try odd.withUnsafeBytes { odd in
                    share.withUnsafeMutableBufferPointer {
                        join.share(of: branch, UnsafeRawBufferPointer(rebasing: odd[1...]), into: $0)
                    }
                    try #require(odd.count == features * 4 + 1)
                }
            }
            #expect(share == expected)
        }
    }
}
