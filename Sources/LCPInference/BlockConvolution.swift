import LCPModels

extension BranchGraph {
    /// Convolutions to few channels with several neighbouring columns as one.
    ///
    /// A vector holds 8 or 16 output channels, and a narrow branch has fewer. Two neighbouring pixels with 8 channels each are
    /// one pixel with 16: the kernel becomes as wide as both windows together, and has zeros where only one of them looks.
    func convolvingByBlocks(_ kernels: Kernels) -> BranchGraph {
        var result = self
        for index in nodes.indices where kernels.run(nodes[index]) {
            var node = nodes[index]
            guard case .convolution(let window, 1, let weight, let bias) = node.operation,
                !node.isPointwise || kernels.isInteger
            else { continue }
            if node.isPointwise {
                // One long row.
                node.from = FeatureMapShape(
                    height: 1, width: node.from.height * node.from.width, channels: node.from.channels)
                node.to = FeatureMapShape(
                    height: 1, width: node.to.height * node.to.width, channels: node.to.channels)
            }
            let columns = node.columnsPerBlock(window, kernels: kernels)
            guard columns > 1 else { continue }
            let (inputs, outputs) = (node.from.channels, node.to.channels)
            var wide = window
            wide.width += (columns - 1) * window.strideAcross
            wide.strideAcross *= columns
            var weights = [Float](repeating: 0, count: columns * outputs * wide.taps * inputs)
            for output in 0..<columns * outputs {
                let left = output / outputs * window.strideAcross
                for y in 0..<window.height {
                    let source = ((output % outputs) * window.height + y) * window.width * inputs
                    let target = ((output * window.height + y) * wide.width + left) * inputs
                    for place in 0..<window.width * inputs { weights[target + place] = weight[source + place] }
                }
            }
            result.nodes[index].operation = .convolution(
                wide, groups: 1, weight: weights, bias: Array((0..<columns).map { _ in bias }.joined()))
            result.nodes[index].integer?.repeatOutputs(columns)
            result.nodes[index].from = node.from
            result.nodes[index].to = FeatureMapShape(
                height: node.to.height, width: node.to.width / columns, channels: columns * outputs)
        }
        return result
    }
}

extension BranchGraph.Node {
    /// How many columns are best computed as one.
    func columnsPerBlock(_ window: BranchGraph.Window, kernels: Kernels) -> Int {
        (1...16).filter { to.width % $0 == 0 && ($0 == 1 || to.width / $0 >= 5) }
            .min { costOfBlocks($0, window, kernels: kernels) < costOfBlocks($1, window, kernels: kernels) } ?? 1
    }

    /// Multiplications of whole vectors for one row of output.
    func costOfBlocks(_ columns: Int, _ window: BranchGraph.Window, kernels: Kernels) -> Int {
        let (lanes, group) = (kernels.lanes, kernels.group)
        let vectors = (columns * to.channels + lanes - 1) / lanes
        let run = (window.width + (columns - 1) * window.strideAcross) * from.channels
        let taps = window.height * ((run + group - 1) / group)
        // Starting and storing a vector costs about as much as some multiplications.
        return to.width / columns * vectors * (taps + 6)
    }
}
