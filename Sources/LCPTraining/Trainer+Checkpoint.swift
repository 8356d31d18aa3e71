import LCPModels
import Platform
import Tensors

extension Trainer {
    private struct CheckpointHeader: Codable {
        var version = 1
        var network: BranchedNetwork
        var recipe: TrainingRecipe
        var seed: UInt64
        var sources: [String]?
        /// Missing in older checkpoints.
        var data: DataDigest?
        var epochsDone: Int
        var steps: Int
        var history: [ModelManifest.EpochRecord]
        var bestEpoch: Int?
        var bestAccuracy: Double?
    }

    /// Writes everything that is needed to go on, whole or not at all.
    ///
    /// - Throws: ``TrainingError``; the checkpoint before stays as it is.
    func save(to path: String) throws(TrainingError) {
        do {
            let header = CheckpointHeader(
                network: network, recipe: recipe, seed: seed, sources: sources, data: dataDigest,
                epochsDone: epochsDone, steps: optimizer.steps,
                history: history, bestEpoch: best?.epoch, bestAccuracy: best?.accuracy)
            var file = Safetensors(metadata: ["lcp": try Checkpoint.encode(header)])
            func add(_ name: String, _ values: [Float]) throws {
                guard !values.isEmpty, let shape = Shape([values.count]) else { return }
                file.tensors[name] = try Tensor(values, shape: shape)
            }
            try add("parameters", graph.parameters.values)
            for (name, values) in optimizer.state { try add(name, values) }
            for (index, buffer) in graph.statistics.enumerated() { try add("statistics.\(index)", buffer.values) }
            if let best { try add("best", Checkpoint.flat(best.parameters)) }
            try FileIO.write(file.encoded(), to: path)
        } catch {
            throw TrainingError(
                "the checkpoint of epoch \(epochsDone) could not be written, the one before it is kept: \(error)")
        }
    }

    /// Goes on from a checkpoint of the same training: ``run(data:validation:checkpoint:progress:)`` begins with the epoch
    /// after it.
    ///
    /// - Throws: ``TrainingError`` where the file cannot be read or is of another network, recipe, seed, ``sources`` or
    ///   images.
    public func resume(from path: String) throws(TrainingError) {
        do {
            let file = try Safetensors(decoding: try FileIO.read(path))
            let header = try Checkpoint.decode(CheckpointHeader.self, file.metadata["lcp"] ?? "")
            let others = [
                header.network == network ? nil : "the network", recipe.difference(from: header.recipe),
                header.seed == seed ? nil : "the seed, which was \(header.seed),",
            ].compactMap { $0 }
            guard others.isEmpty else {
                throw TrainingError("it is of another training: \(others.joined(separator: " and ")) must be the same")
            }
            guard header.sources ?? sources == sources else {
                throw TrainingError("it is of another training: data, validation and teachers must be the same")
            }
            if let now = dataDigest, let difference = header.data?.difference(from: now) {
                throw TrainingError("it is of another training: \(difference)")
            }
            func values(_ name: String) throws -> [Float]? { try file.tensors[name]?.floats() }
            guard let parameters = try values("parameters"), parameters.count == graph.parameters.count else {
                throw TrainingError("it lacks the parameters")
            }
            graph.parameters.values = parameters
            var state: [String: [Float]] = [:]
            for name in ["momentum", "variance", "average"] { state[name] = try values(name) }
            try optimizer.restore(state, steps: header.steps)
            for (index, buffer) in graph.statistics.enumerated() {
                guard let found = try values("statistics.\(index)"), found.count == buffer.count else {
                    throw TrainingError("it lacks running statistics")
                }
                buffer.values = found
            }
            history = header.history
            epochsDone = header.epochsDone
            if let epoch = header.bestEpoch, let accuracy = header.bestAccuracy {
                guard let flat = try values("best"),
                    let parameters = Checkpoint.parameters(flat, like: graph.modelParameters)
                else { throw TrainingError("it lacks the best epoch's weights") }
                best = (epoch, accuracy, parameters)
            }
        } catch {
            throw TrainingError("cannot go on from the checkpoint \(path): \(error)")
        }
    }
}
