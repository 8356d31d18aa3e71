extension BranchGraph {
    /// The same results from fewer and quicker operations.
    func optimized(for kernels: Kernels? = .usual) -> BranchGraph {
        let graph = foldingScales().fusingClamps().removingUnread().convolvingByRows(kernels)
        guard let kernels else { return graph }
        return graph.addingInConvolutions(kernels).convolvingByBlocks(kernels)
    }

    /// Batch normalisations folded into the weights before them, where nobody else reads the result that is not normalised; also
    /// past a maximum, which factors from 0 up leave where it is.
    func foldingScales() -> BranchGraph {
        var result = self
        var readers = self.readers
        var replacement = Array(0...nodes.count)
        for index in nodes.indices {
            result.nodes[index].inputs = nodes[index].inputs.map { replacement[$0] }
            guard case .scale(let factors, let offsets) = nodes[index].operation, nodes[index].bounds == .none else {
                continue
            }
            let source = result.nodes[index].inputs[0]
            var weighted = source
            while weighted > 0, readers[weighted] == 1, result.nodes[weighted - 1].bounds == .none,
                case .maxPool = result.nodes[weighted - 1].operation, factors.allSatisfy({ $0 >= 0 })
            { weighted = result.nodes[weighted - 1].inputs[0] }
            guard weighted > 0, readers[weighted] == 1, result.nodes[weighted - 1].bounds == .none,
                let folded = result.nodes[weighted - 1].operation.scaled(by: factors, plus: offsets)
            else { continue }
            result.nodes[weighted - 1].operation = folded
            replacement[index + 1] = source
            readers[source] = readers[index + 1]
        }
        result.output = replacement[output]
        return result.removingUnread()
    }

    /// Clamps as bounds of the operation before them, where nobody else reads the result that is not clamped.
    func fusingClamps() -> BranchGraph {
        var result = self
        var readers = self.readers
        var replacement = Array(0...nodes.count)
        for index in nodes.indices {
            result.nodes[index].inputs = nodes[index].inputs.map { replacement[$0] }
            guard case .clamp = nodes[index].operation else { continue }
            let source = result.nodes[index].inputs[0]
            guard source > 0, readers[source] == 1, result.nodes[source - 1].operation.takesBounds,
                result.nodes[source - 1].integer?.result == nodes[index].integer?.result
            else { continue }
            let bounds = result.nodes[source - 1].bounds.then(nodes[index].bounds)
            guard bounds.minimum < bounds.maximum else { continue }
            result.nodes[source - 1].bounds = bounds
            replacement[index + 1] = source
            readers[source] = readers[index + 1]
        }
        result.output = replacement[output]
        return result.removingUnread()
    }

    /// Additions as the last thing that a convolution of ours does, where nobody else reads the result without them.
    func addingInConvolutions(_ kernels: Kernels) -> BranchGraph {
        var result = self
        let readers = self.readers
        var replacement = Array(0...nodes.count)
        for index in nodes.indices {
            result.nodes[index].inputs = nodes[index].inputs.map { replacement[$0] }
            guard case .add = nodes[index].operation else { continue }
            let inputs = result.nodes[index].inputs
            // The convolution must be the later of the two, so that the other is there when it runs.
            let (source, other) = (max(inputs[0], inputs[1]), min(inputs[0], inputs[1]))
            guard source != other, source > 0, readers[source] == 1, replacement[source] == source else { continue }
            let convolution = result.nodes[source - 1]
            guard case .convolution(_, 1, _, _) = convolution.operation, kernels.run(convolution),
                convolution.inputs.count == 1, convolution.bounds == .none, convolution.to == nodes[index].to
            else { continue }
            result.nodes[source - 1].inputs.append(other)
            result.nodes[source - 1].bounds = nodes[index].bounds
            result.nodes[source - 1].integer?.sum = nodes[index].integer?.result
            replacement[index + 1] = source
        }
        result.output = replacement[output]
        return result.removingUnread()
    }

    /// Without the operations whose results nobody reads.
    func removingUnread() -> BranchGraph {
        var isRead = [Bool](repeating: false, count: nodes.count + 1)
        isRead[output] = true
        for index in nodes.indices.reversed() where isRead[index + 1] {
            for value in nodes[index].inputs { isRead[value] = true }
        }
        var result = BranchGraph(input: input)
        result.inputQuantization = inputQuantization
        var number = [Int](repeating: 0, count: nodes.count + 1)
        for index in nodes.indices where isRead[index + 1] {
            var node = nodes[index]
            node.inputs = node.inputs.map { number[$0] }
            result.nodes.append(node)
            number[index + 1] = result.nodes.count
        }
        result.output = number[output]
        return result
    }
}

extension BranchGraph.Operation {
    /// Whether the result can be clamped on its way out.
    var takesBounds: Bool {
        switch self {
        case .convolution, .depthwiseConvolution, .fullyConnected, .scale, .maxPool, .averagePool, .globalAveragePool,
            .add, .clamp:
            true
        case .localResponseNormalization, .softmax, .multiply, .channelNormalization, .pick, .activation, .prelu,
            .concatenate:
            false
        }
    }

    /// The operation with x · factor + offset per channel behind it, or nil where it has no weights to take them.
    func scaled(by factors: [Float], plus offsets: [Float]) -> Self? {
        func scaled(_ bias: [Float]) -> [Float] { bias.indices.map { bias[$0] * factors[$0] + offsets[$0] } }
        /// Weights with the outputs first.
        func rows(_ weight: [Float]) -> [Float] {
            let length = weight.count / factors.count
            return weight.indices.map { weight[$0] * factors[$0 / length] }
        }
        switch self {
        case .convolution(let window, let groups, let weight, let bias):
            return .convolution(window, groups: groups, weight: rows(weight), bias: scaled(bias))
        case .depthwiseConvolution(let window, let weight, let bias):
            return .depthwiseConvolution(
                window, weight: weight.indices.map { weight[$0] * factors[$0 % factors.count] }, bias: scaled(bias))
        case .fullyConnected(let weight, let bias):
            return .fullyConnected(weight: rows(weight), bias: scaled(bias))
        case .scale(let weight, let bias): return .scale(weight: rows(weight), bias: scaled(bias))
        default: return nil
        }
    }
}
