import LCPModels
import Platform

extension TrainingRun {
    /// Whether training can go on from the weights of ``start``.
    func checkStart() throws(TrainingError) {
        guard let start else { return }
        let name = start.manifest.name
        guard start.manifest.arithmetic == nil else {
            throw TrainingError(
                "\(name) is in eight bits, and training goes on in single precision: name the model that it was made of"
            )
        }
        guard start.network.parity == nil else {
            throw TrainingError(
                "the last branch of \(name) stands in for the others, and would not fit them any more: go on with the model that "
                    + "it was added to, and add a parity branch to that")
        }
        guard start.network.input == network.input, start.network.branches == network.branches,
            start.network.merge == network.merge
        else {
            throw TrainingError(
                "training goes on from \(name) with its own branches for the same images: leave out --branches, --shares, "
                    + "--fatten, --input and --merge")
        }
    }

    /// A model's weights, with a classification layer for other classes where these are not the model's.
    func weights(of model: ModelBundle, _ labels: [String]) throws -> ModelParameters {
        var result = try model.parameters()
        let names = model.manifest.labels.map { $0.lowercased() }
        guard names != labels.map({ $0.lowercased() }) else { return result }
        var random = SeededGenerator(seed: seed, stream: 1)
        result.merge = try ModelParameters.random(for: network, using: &random).merge
        return result
    }
}
