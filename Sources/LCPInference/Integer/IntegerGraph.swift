import LCPModels

extension BranchGraph {
    /// Layers in numbers of eight bits as operations.
    ///
    /// - Throws: ``InferenceError`` where weights are missing, or a layer has no arithmetic in eight bits.
    init(
        lowering layers: [Layer], shapes: [FeatureMapShape], integers: IntegerBranch
    ) throws(InferenceError) {
        for layer in layers {
            switch layer {
            case .batchNormalization, .softmax: throw InferenceError("\(layer) has no arithmetic in eight bits")
            // Its sums of squares would need more than 32 bits between two factors.
            case .localResponseNormalization(let size, _, _, _) where size > ResponseTable.mostChannels:
                throw InferenceError("\(layer) has no arithmetic in eight bits")
            default: break
            }
        }
        let parameters = zip(layers, integers.layers).map { layer, weights in
            weights.map {
                LayerParameters(weight: $0.weight.map(Float.init), bias: Array(repeating: 0, count: $0.bias.count))
            }
        }
        try self.init(
            lowering: layers, shapes: shapes, parameters: parameters, head: integers.head?.weight.map(Float.init),
            integers: integers)
    }

    /// The same bits from fewer and quicker operations.
    func optimized(for kernels: IntegerKernels) -> BranchGraph {
        let shape = kernels.shape
        return fusingClamps().removingUnread().convolvingByRows(shape).addingInConvolutions(shape)
            .convolvingByBlocks(shape)
    }
}

extension BranchGraph.Integer {
    init(_ branch: IntegerBranch, layer: Int) {
        self.init(
            result: branch.values[layer + 1], scale: branch.layers[layer]?.scale ?? [],
            bias: branch.layers[layer]?.bias ?? [], table: branch.tables[layer], lookup: branch.lookups[layer])
    }
}
