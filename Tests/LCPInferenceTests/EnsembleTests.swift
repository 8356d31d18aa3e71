import LCPModels
import Platform
import Testing

@Suite struct EnsembleTests {
    /// What a network says to an image, straight from the definitions.
    static func logits(
        _ network: BranchedNetwork, _ parameters: ModelParameters, _ image: [Double]
    ) throws -> [Double] {
        let features = try network.branches.indices.map { branch in
            Reference.run(
                network.branches[branch], try network.shapes(of: branch), parameters.branches[branch], input: image)
        }
        let joined =
            switch network.merge {
            case .concat: features.flatMap(\.self)
            case .sum: features[0].indices.map { index in features.reduce(0) { $0 + $1[index] } }
            }
        return (0..<network.classes).map { row in
            joined.indices.reduce(Double(parameters.merge.bias[row])) {
                $0 + Double(parameters.merge.weight[row * joined.count + $1]) * joined[$1]
            }
        }
    }

    /// A network in one piece and branches that are summed or concatenated: together they say the mean of what they say alone.
    @Test func theAnswerIsTheMeanOfTheMembers() throws {
        var random = SeededGenerator(seed: 7)
        let base = Network.lenet
        let networks = [
            try base.split(into: 1), try base.with(merge: .sum).split(into: 4), try base.split(shares: [2, 1]),
        ]
        let members = try networks.map { network in
            var parameters = try ModelParameters.random(for: network, using: &random)
            parameters.merge.bias = (0..<network.classes).map { _ in random.uniform(-1, 1) }
            return (network: network, parameters: parameters)
        }
        let ensemble = try Ensemble(members)
        #expect(ensemble.network.branches.count == 7 && ensemble.network.merge == .concat)
        let image = (0..<base.input.elementCount).map { _ in Double(random.uniform(-1, 1)) }
        let alone = try members.map { try Self.logits($0.network, $0.parameters, image) }
        let together = try Self.logits(ensemble.network, ensemble.parameters, image)
        for index in together.indices {
            let mean = alone.reduce(0) { $0 + $1[index] } / 3
            #expect(abs(together[index] - mean) < 1e-5)
        }
        #expect(try Ensemble([members[1]]).network == networks[1])
    }

    @Test func strangersAreNoEnsemble() throws {
        var random = SeededGenerator(seed: 7)
        func member(_ network: Network) throws -> (network: BranchedNetwork, parameters: ModelParameters) {
            let network = try network.split(into: 1)
            return (network, try .random(for: network, using: &random))
        }
        let lenet = try member(.lenet)
        #expect(throws: NetworkError.self) { try Ensemble([]) }
        let error = #expect(throws: NetworkError.self) { try Ensemble([lenet, try member(.cifarnet)]) }
        #expect(error?.description.contains("the same images") == true)
        #expect(throws: NetworkError.self) { try Ensemble([lenet, try member(.lenet.with(classes: 3))]) }
        #expect(throws: NetworkError.self) { try Ensemble(Array(repeating: lenet, count: 65)) }
    }
}
