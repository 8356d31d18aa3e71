public import LCPDatasets
public import LCPModels

extension TrainingRun {
    /// Trains one more branch for a finished model, which stands in for those that are missing: as wide as the first one or wider, taught by
    /// the model's whole answer. The model's own branches stay as they are, so that its whole answer does, too.
    ///
    /// - Throws: ``TrainingError`` where the model cannot have a parity branch.
    public init(
        parityOf bundle: ModelBundle, fattening: Fattening = .none, name: String, recipe: TrainingRecipe,
        data: [DataSpecification], folder: String
    ) throws {
        let whole = bundle.network
        let network = try Network(
            name: whole.base, input: whole.input, layers: whole.branches[0], classes: whole.classes, merge: whole.merge
        ).split(into: 1, fattening: fattening)
        self.init(network: network, name: name, recipe: recipe, data: data, folder: folder)
        pictures = bundle.manifest.preprocessing
        parityOf = bundle
        try checkParity()
    }

    /// Whether the model may have a parity branch.
    func checkParity() throws(TrainingError) {
        guard let parityOf else { return }
        let (name, network) = (parityOf.manifest.name, parityOf.network)
        let count = network.branches.count
        guard network.parity == nil else {
            throw TrainingError(
                "\(name) has a parity branch already, its last one: add one to the model that it was made of")
        }
        guard (2..<BranchedNetwork.maximumBranches).contains(count) else {
            throw TrainingError(
                "a parity branch stands in for one of several, and \(name) has \(count) branch\(count == 1 ? "" : "es"): "
                    + "name a model of 2 to \(BranchedNetwork.maximumBranches - 1)")
        }
        guard parityOf.manifest.arithmetic == nil else {
            throw TrainingError(
                "\(name) is in eight bits: add the parity branch to the model in single precision that it was made of, and "
                    + "quantise that")
        }
        guard recipe.initialization != .teacher else {
            throw TrainingError("a parity branch begins with random weights: give --set initialization=he")
        }
        guard recipe.auxiliaryWeight == 0 else {
            throw TrainingError("a parity branch has no heads of its own: give --set auxiliary_weight=0")
        }
    }

    /// The network of the bundle that is written.
    var finishedNetwork: BranchedNetwork {
        guard var result = parityOf?.network else { return network }
        let count = result.branches.count
        result.branches.append(network.branches[0] + [.fullyConnected(outputs: count * network.classes)])
        result.parity = count
        return result
    }

    /// The network and the weights of the bundle that is written.
    func finished(_ trained: ModelParameters) throws -> (BranchedNetwork, ModelParameters) {
        guard let parityOf else { return (network, trained) }
        var parameters = try parityOf.parameters()
        // What told the branches' classes apart is the last layer of the parity branch.
        parameters.branches.append(trained.branches[0] + [trained.merge])
        return (finishedNetwork, parameters)
    }
}
