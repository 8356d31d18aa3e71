public import LCPModels
import LCPWire
import Platform

/// A network shared by devices that talk to each other, which is what branches are measured against.
public struct SharedNetwork: Sendable, Hashable {
    public enum Way: String, Sendable, Hashable, Codable, CaseIterable {
        /// Every layer divided, by its outputs or its inputs, whichever sends less.
        case modelParallel = "model-parallel"
        /// SplitNet's tree (Kim et al., 2017).
        case splitNet = "splitnet"
    }

    public var way: Way
    public var network: Network
    public var devices: Int

    public init(_ way: Way, _ network: Network, devices: Int) {
        (self.way, self.network, self.devices) = (way, network, devices)
    }

    /// A program for every device.
    ///
    /// - Throws: ``NetworkError`` where the network cannot be shared so.
    func programs() throws(NetworkError) -> [DeviceProgram] {
        switch way {
        case .modelParallel: try ModelParallelism.programs(network, devices: devices)
        case .splitNet: try SplitNetTree(network, devices: devices).programs()
        }
    }

    /// Random weights: for model parallelism those of the whole network.
    func weights() throws(NetworkError) -> ProgramWeights {
        switch way {
        case .modelParallel:
            var random = SeededGenerator(seed: 1)
            let parameters = try ModelParameters.random(for: network.split(into: 1), using: &random)
            return try ProgramWeights(
                network.allLayers, input: network.input, sets: [parameters.branches[0] + [parameters.merge]])
        case .splitNet: return try SplitNetTree(network, devices: devices).weights()
        }
    }

    /// Whether answers are summands of all logits; otherwise each is of classes of its own.
    func addsAnswers() throws(NetworkError) -> Bool {
        try programs().allSatisfy { program in
            guard case .answer(let slot, _)? = program.steps.last else { return false }
            return program.slots[slot].channels == network.classes
        }
    }
}

extension SharedNetwork {
    /// How often somebody sends something to somebody else for a frame: the picture, activations, answers.
    func connectedPairs() throws(NetworkError) -> Int {
        var pairs = 0
        for program in try programs() {
            for step in program.steps {
                switch step {
                case .decode, .answer: pairs += 1
                case .exchange(let sends, _): pairs += sends.count
                default: break
                }
            }
        }
        return pairs
    }
}
