import LCPModels
import Platform
import Testing

@Suite struct InheritanceTests {
    private static func random(_ network: BranchedNetwork, seed: UInt64) throws -> ModelParameters {
        var random = SeededGenerator(seed: seed)
        return try ModelParameters.random(for: network, using: &random)
    }

    /// A network in one piece is its own only share, whatever its layers are; for other classes all but the last layer.
    @Test(arguments: ["lenet", "cifarnet-bn", "resnet18"])
    func theWholeIsInheritedWhole(name: String) throws {
        let network = try Network.named(name)
        let whole = try network.split(into: 1)
        let parameters = try Self.random(whole, seed: 1)
        var heir = try Self.random(whole, seed: 2)
        try heir.inherit(from: whole, parameters, for: whole)
        #expect(heir == parameters)

        let other = try network.with(classes: 7).split(into: 1)
        heir = try Self.random(other, seed: 3)
        let own = heir.merge
        try heir.inherit(from: whole, parameters, for: other)
        #expect(heir.branches == parameters.branches && heir.merge == own)
    }

    /// LeNet in two: 6, 16, 120 and 84 channels become 3, 8, 60 and 42.
    @Test func aBranchHasItsChannelsAndWhatConnectsThem() throws {
        let network = Network.lenet
        let (whole, halves) = (try network.split(into: 1), try network.split(into: 2))
        let parameters = try Self.random(whole, seed: 1)
        var heir = try Self.random(halves, seed: 2)
        try heir.inherit(from: whole, parameters, for: halves)
        let source = parameters.branches[0]
        let convolution = try #require(source[3]?.weight)
        let own = try #require(heir.branches[1][3]?.weight)
        #expect(own.count == 8 * 3 * 25)
        for (output, input, tap) in [(0, 0, 0), (7, 2, 24), (3, 1, 12)] {
            #expect(own[(output * 3 + input) * 25 + tap] == convolution[((8 + output) * 6 + 3 + input) * 25 + tap])
        }
        let full = try #require(source[8]?.weight)
        #expect(try #require(heir.branches[1][8]?.weight)[41 * 60 + 59] == full[83 * 120 + 119])
        // The columns of the second branch are the second half of the classification layer's.
        #expect(heir.merge == parameters.merge)
    }

    /// Five of six channels twice are ten: those that come twice count half in the classification layer.
    @Test func fatBranchesBeginAtTheFirstChannelAgain() throws {
        let network = Network(
            name: "small", input: FeatureMapShape(height: 1, width: 1, channels: 2),
            layers: [.fullyConnected(outputs: 6), .relu], classes: 2, merge: .concat)
        let (whole, fat) = (try network.split(into: 1), try network.split(into: 2, fattening: 67))
        #expect(fat.branches[1][0] == .fullyConnected(outputs: 5))
        let parameters = try Self.random(whole, seed: 1)
        var heir = try Self.random(fat, seed: 2)
        try heir.inherit(from: whole, parameters, for: fat)
        let weight = try #require(parameters.branches[0][0]?.weight)
        #expect(heir.branches[1][0]?.weight == Array(weight[10..<12] + weight[0..<8]))
        // Branch 0 has the channels 0 to 4, branch 1 has 5 and 0 to 3.
        let row = parameters.merge.weight
        let expected = [row[0] / 2, row[1] / 2, row[2] / 2, row[3] / 2, row[4], row[5]] + (0..<4).map { row[$0] / 2 }
        #expect(Array(heir.merge.weight[0..<10]) == expected)
    }

    @Test func otherNetworksAreNoTeachers() throws {
        let halves = try Network.lenet.split(into: 2)
        var heir = try Self.random(halves, seed: 1)
        for other in [try Network.lenetFC.split(into: 1), halves] {
            let parameters = try Self.random(other, seed: 2)
            #expect(throws: NetworkError.self) { try heir.inherit(from: other, parameters, for: halves) }
        }
        let grouped = Network(
            name: "grouped", input: FeatureMapShape(height: 4, width: 4, channels: 4),
            layers: [.convolution(outputs: 8, kernel: 3, groups: 2), .relu], classes: 2, merge: .concat)
        let (whole, split) = (try grouped.split(into: 1), try grouped.split(into: 2))
        let parameters = try Self.random(whole, seed: 3)
        var branches = try Self.random(split, seed: 4)
        #expect(throws: NetworkError.self) { try branches.inherit(from: whole, parameters, for: split) }
    }
}
