import LCPModels

extension BranchGraph {
    /// Narrow convolutions, and max poolings without overlap behind them, with whole rows as channels.
    ///
    /// XNNPACK computes 16 output channels at a time and follows a pointer for every pixel and every tap. With the few channels
    /// of a narrow branch most of that is wasted; a row of pixels fills the lanes, at the price of multiplying by the zeros
    /// between the taps. A row of `width` pixels with `channels` each is one pixel with width × channels channels: along the
    /// row the convolution is then a matrix with the kernel repeated on its diagonals, down the rows it stays a convolution.
    func convolvingByRows(_ kernels: Kernels?) -> BranchGraph {
        var result = self
        let readers = self.readers
        for index in nodes.indices {
            guard case .convolution(let window, 1, let weight, let bias) = result.nodes[index].operation,
                result.nodes[index].isFasterByRows(kernels)
            else { continue }
            let node = result.nodes[index]
            // For a pooling the columns come out by their place in its window, all firsts, then all seconds: the window is
            // then `pooling` pixels wide, with everything else in the channels.
            let next = nodes.indices.first { nodes[$0].inputs.contains(index + 1) }
            var pooling = 1
            if let next, readers[index + 1] == 1, case .maxPool(let pool) = nodes[next].operation, pool.width > 1,
                pool == Window(size: pool.width, stride: pool.width)
            {
                pooling = pool.width
                // Columns that no window takes are not even computed.
                let columns = node.to.width / pooling
                let rows = node.to.height / pooling
                result.nodes[next].from = FeatureMapShape(
                    height: node.to.height, width: pooling, channels: columns * node.to.channels)
                result.nodes[next].to = FeatureMapShape(height: rows, width: 1, channels: columns * node.to.channels)
            }
            let (byRows, biases) = Self.byRows(node, window, weight, bias, pooling: pooling)
            let from = FeatureMapShape(
                height: node.from.height, width: 1, channels: node.from.width * node.from.channels)
            result.nodes[index].from = from
            result.nodes[index].to = FeatureMapShape(height: node.to.height, width: 1, channels: biases.count)
            result.nodes[index].integer?.repeatOutputs(biases.count / node.to.channels)
            result.nodes[index].operation = .convolution(
                Window(
                    height: window.height, width: 1, strideDown: window.strideDown, strideAcross: 1, top: window.top,
                    bottom: window.bottom),
                groups: 1, weight: byRows, bias: biases)
        }
        return result
    }

    private static func byRows(
        _ node: Node, _ window: Window, _ weight: [Float], _ bias: [Float], pooling: Int
    ) -> (weight: [Float], bias: [Float]) {
        let (from, to) = (node.from, node.to)
        let columns = to.width / pooling
        let inputs = from.width * from.channels
        let outputs = pooling * columns * to.channels
        var weights = [Float](repeating: 0, count: outputs * window.height * inputs)
        var biases = [Float](repeating: 0, count: outputs)
        for place in 0..<pooling {
            for column in 0..<columns {
                let left = (column * pooling + place) * window.strideAcross - window.left
                for channel in 0..<to.channels {
                    let output = (place * columns + column) * to.channels + channel
                    biases[output] = bias[channel]
                    for y in 0..<window.height {
                        for x in 0..<window.width where (0..<from.width).contains(left + x) {
                            let source = ((channel * window.height + y) * window.width + x) * from.channels
                            let target = (output * window.height + y) * inputs + (left + x) * from.channels
                            for input in 0..<from.channels { weights[target + input] = weight[source + input] }
                        }
                    }
                }
            }
        }
        return (weights, biases)
    }
}

extension BranchGraph.Node {
    /// Whether a convolution is cheaper with whole rows as channels, see ``BranchGraph/convolvingByRows(_:)``.
    ///
    /// Beside XNNPACK the costs are in units of 16 multiplications; a pointer is worth about two of them. Beside our kernels,
    /// which take several columns as one where a convolution is narrow, they are in vectors.
    func isFasterByRows(_ kernels: Kernels?) -> Bool {
        guard case .convolution(let window, 1, _, _) = operation, !window.isDilated else { return false }
        guard window.height * from.width * from.channels * to.width * to.channels <= 1 << 16 else { return false }
        let lanes = kernels?.lanes ?? 16
        func vectors(_ channels: Int) -> Int { (channels + lanes - 1) / lanes }
        let group = kernels?.group ?? 1
        let row = (from.width * from.channels + group - 1) / group
        let byRows = to.height * window.height * (row * vectors(to.width * to.channels) + 2)
        if let kernels, kernels.run(self) {
            let columns = columnsPerBlock(window, kernels: kernels)
            return byRows < to.height * costOfBlocks(columns, window, kernels: kernels)
        }
        return byRows < to.height * to.width * window.taps * (from.channels * vectors(to.channels) + 2)
    }
}
