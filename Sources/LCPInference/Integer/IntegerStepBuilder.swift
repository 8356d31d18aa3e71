import CBranchKernels
import LCPModels

/// How the sums of an operation become numbers of eight bits, for each output.
struct IntegerRescaling {
    var bias: [Int32]
    var multipliers: [Int16]
    var shifts: [UInt8]

    func withPointer(_ body: (UnsafePointer<lcp_rescaling>) -> Void) {
        bias.withUnsafeBufferPointer { bias in
            multipliers.withUnsafeBufferPointer { multipliers in
                shifts.withUnsafeBufferPointer { shifts in
                    var pointers = lcp_rescaling(
                        bias: bias.baseAddress, multiplier: multipliers.baseAddress, shift: shifts.baseAddress)
                    body(&pointers)
                }
            }
        }
    }
}

/// Makes steps of the operations of a graph.
struct IntegerStepBuilder {
    let kernels: IntegerKernels
    let numbers: UnsafeMutablePointer<UInt8>
    let reals: UnsafeMutablePointer<Float>
    let pool: ThreadPool?
    let sharesAll: Bool

    /// Prepares the operations one after the other, and lets go of the weights of each, which are packed then.
    mutating func build(_ graph: inout BranchGraph, _ plan: BufferPlan) throws(InferenceError) -> [any IntegerStep] {
        var steps: [any IntegerStep] = []
        let sharesAll = sharesAll
        let isShared = { (node: BranchGraph.Node) in sharesAll || node.isWorthSharing }
        let last = graph.nodes.lastIndex(where: isShared)
        for index in graph.nodes.indices {
            let node = graph.nodes[index]
            var from: [Quantization] = []
            for value in node.inputs {
                guard let quantization = graph.quantization(of: value) else { throw Self.lacking(node) }
                from.append(quantization)
            }
            let place = Place(
                node: node, from: from, inputs: node.inputs.map { UnsafePointer(numbers + plan.offsets[$0]) },
                counts: node.inputs.map { graph.shape(of: $0).elementCount },
                output: numbers + plan.offsets[index + 1],
                sharing: isShared(node) ? Sharing(pool: pool, isLast: index == last) : .none)
            steps.append(try step(place))
            graph.nodes[index].operation = .clamp
        }
        return steps
    }

    /// An operation, and where its inputs and its output are.
    private struct Place {
        var node: BranchGraph.Node
        var from: [Quantization]
        var inputs: [UnsafePointer<UInt8>]
        var counts: [Int]
        var output: UnsafeMutablePointer<UInt8>
        var sharing: Sharing
    }

    private static func lacking(_ node: BranchGraph.Node) -> InferenceError {
        InferenceError("\(node.operation.name) lacks the scales of its numbers")
    }

    private func step(_ place: Place) throws(InferenceError) -> any IntegerStep {
        let node = place.node
        guard let integer = node.integer else { throw Self.lacking(node) }
        switch node.operation {
        case .convolution(let window, let groups, let weight, _):
            return try convolution(place, integer, window, groups: groups, weight)
        case .fullyConnected(let weight, _):
            return try convolution(place, integer, .init(size: 1, stride: 1), groups: 1, weight)
        case .depthwiseConvolution(let window, let weight, _):
            let to = try result(place)
            return IntegerDepthwiseConvolution(
                kernels, self.window(place, window, to: to), weight: weight,
                rescaling: try rescaling(place, integer, to),
                input: place.inputs[0], output: place.output, sharing: place.sharing)
        case .maxPool(let window):
            let to = try result(place)
            guard to == place.from[0] else { throw InferenceError("a max pooling changes the scale of its numbers") }
            return IntegerPooling(
                kernels, self.window(place, window, to: to), .maximum, input: place.inputs[0], output: place.output,
                sharing: place.sharing)
        case .averagePool(let window): return try mean(place, window)
        case .globalAveragePool:
            return try mean(
                place,
                .init(height: node.from.height, width: node.from.width, strideDown: 1, strideAcross: 1))
        case .localResponseNormalization(let size, _, _, _):
            let to = try result(place)
            guard let table = integer.table else { throw Self.lacking(node) }
            return IntegerResponseNormalization(
                kernels, node.from, size: size, table: table, from: place.from[0], to: to, input: place.inputs[0],
                output: place.output, sharing: place.sharing)
        case .add:
            let to = try result(place)
            return sum(
                [
                    .init(
                        sum: try addition(place.from, to, node.bounds), first: place.inputs[0], second: place.inputs[1],
                        output: place.output, count: node.to.channels, step: node.to.channels)
                ], place)
        case .clamp:
            let to = try result(place)
            return sum(
                [
                    .init(
                        sum: try addition(place.from, to, node.bounds), first: place.inputs[0], second: nil,
                        output: place.output, count: node.to.channels, step: node.to.channels)
                ], place)
        case .concatenate:
            let to = try result(place)
            var (parts, offset): ([IntegerSum.Part], Int) = ([], 0)
            let area = node.to.height * node.to.width
            for (index, from) in place.from.enumerated() {
                let channels = place.counts[index] / area
                parts.append(
                    .init(
                        sum: try addition([from], to, node.bounds), first: place.inputs[index], second: nil,
                        output: place.output + offset, count: channels, step: node.to.channels))
                offset += channels
            }
            return sum(parts, place)
        case .multiply:
            let to = try result(place)
            guard
                let rescaling = Rescaling(Double(place.from[0].scale) * Double(place.from[1].scale) / Double(to.scale))
            else { throw InferenceError("a product has scales that do not fit each other") }
            let product = lcp_integer_product(
                zero: (Int32(place.from[0].zero), Int32(place.from[1].zero)), multiplier: Int32(rescaling.multiplier),
                shift: Int32(rescaling.shift), output_zero: Int32(to.zero))
            return each(place, .product(product, place.inputs[1], isFactor: place.counts[1] < place.counts[0]))
        case .activation:
            guard let lookup = integer.lookup, lookup.count == 256 else { throw Self.lacking(node) }
            return each(place, .lookup(lookup))
        case .pick(let channels):
            let to = try result(place)
            guard to == place.from[0] else { throw InferenceError("picked channels change the scale of their numbers") }
            return each(place, .pick(channels.map(Int32.init), from: node.from.channels))
        case .scale, .softmax, .channelNormalization, .prelu:
            throw InferenceError("\(node.operation.name) has no arithmetic in eight bits")
        }
    }

    private func result(_ place: Place) throws(InferenceError) -> Quantization {
        guard let result = place.node.integer?.result else { throw Self.lacking(place.node) }
        return result
    }

    private func each(_ place: Place, _ kind: IntegerElements.Kind) -> IntegerElements {
        IntegerElements(
            functions: kernels.functions, kind: kind, input: place.inputs[0], output: place.output,
            pixels: place.node.to.height * place.node.to.width, channels: place.node.to.channels, sharing: place.sharing
        )
    }

    private func sum(_ parts: [IntegerSum.Part], _ place: Place) -> IntegerSum {
        IntegerSum(
            functions: kernels.functions, parts: parts, runs: place.node.to.height * place.node.to.width,
            sharing: place.sharing)
    }

    // MARK: Convolutions

    private func convolution(
        _ place: Place, _ integer: BranchGraph.Integer, _ window: BranchGraph.Window, groups: Int, _ weight: [Float]
    ) throws(InferenceError) -> IntegerConvolution {
        var result = IntegerConvolution.Result.numbers(place.output)
        let to = integer.result
        if to == nil {
            let scale = integer.scale.map { $0 * place.from[0].scale }
            result = .reals(scale, reals)
        } else if let sum = integer.sum, let to {
            let addition = try addition([to, place.from[1]], sum, place.node.bounds)
            result = .sum(addition, addend: place.inputs[1], place.output)
        }
        var shape = self.window(place, window, to: to ?? Quantization(scale: 1, zero: 0))
        shape.groups = groups
        if integer.sum != nil { (shape.minimum, shape.maximum) = (-128, 127) }
        return IntegerConvolution(
            kernels, shape, weight: weight, rescaling: try rescaling(place, integer, to), input: place.inputs[0],
            result: result, sharing: place.sharing)
    }

    /// - Parameter to: nil where sums become real numbers.
    private func rescaling(
        _ place: Place, _ integer: BranchGraph.Integer, _ to: Quantization?
    ) throws(InferenceError) -> IntegerRescaling {
        let count = integer.scale.count
        var result = IntegerRescaling(
            bias: integer.bias, multipliers: .init(repeating: 0, count: count),
            shifts: .init(repeating: 0, count: count))
        guard let to else { return result }
        for (output, scale) in integer.scale.enumerated() {
            let ratio = Double(place.from[0].scale) * Double(scale) / Double(to.scale)
            guard let rescaling = Rescaling(ratio) else {
                throw InferenceError("\(place.node.operation.name) has scales that do not fit each other")
            }
            (result.multipliers[output], result.shifts[output]) = (rescaling.multiplier, rescaling.shift)
        }
        return result
    }

    /// The window of an operation as C wants it; a convolution of single pixels sees one long row, a fully connected layer one
    /// pixel.
    private func window(_ place: Place, _ window: BranchGraph.Window, to: Quantization) -> lcp_integer_window {
        var (from, shape) = (place.node.from, place.node.to)
        if case .fullyConnected = place.node.operation {
            from = FeatureMapShape(features: from.elementCount)
        } else if place.node.isPointwise {
            from = FeatureMapShape(height: 1, width: from.height * from.width, channels: from.channels)
            shape = FeatureMapShape(height: 1, width: shape.height * shape.width, channels: shape.channels)
        }
        let bounds = place.node.bounds
        return lcp_integer_window(
            height: from.height, width: from.width, channels: from.channels, output_height: shape.height,
            output_width: shape.width, outputs: shape.channels, kernel_height: window.height,
            kernel_width: window.width, stride_down: window.strideDown, stride_across: window.strideAcross,
            top: window.top, bottom: window.bottom, left: window.left, right: window.right, groups: 1,
            input_zero: Int32(place.from[0].zero), output_zero: Int32(to.zero), minimum: bounds.least(in: to),
            maximum: bounds.greatest(in: to))
    }

    // MARK: Sums

    private func mean(_ place: Place, _ window: BranchGraph.Window) throws(InferenceError) -> IntegerPooling {
        let to = try result(place)
        guard let (weight, rescaling) = Rescaling.mean(over: window.taps, from: place.from[0], to: to) else {
            throw InferenceError("\(place.node.operation.name) has scales that do not fit each other")
        }
        return IntegerPooling(
            kernels, self.window(place, window, to: to), .mean(weight: weight, rescaling), input: place.inputs[0],
            output: place.output, sharing: place.sharing)
    }

    private func addition(
        _ from: [Quantization], _ to: Quantization, _ bounds: BranchGraph.Bounds
    ) throws(InferenceError) -> lcp_integer_sum {
        guard let weights = SumWeights(from: from, to: to) else {
            throw InferenceError("a sum has scales that do not fit each other")
        }
        let second = from.count > 1
        return lcp_integer_sum(
            zero: (Int32(from[0].zero), second ? Int32(from[1].zero) : 0),
            factor: (Int32(weights.factors[0]), second ? Int32(weights.factors[1]) : 0), shift: Int32(weights.shift),
            output_zero: Int32(to.zero), minimum: bounds.least(in: to), maximum: bounds.greatest(in: to))
    }
}

extension BranchGraph.Bounds {
    fileprivate func least(in quantization: Quantization) -> Int32 {
        minimum == -.infinity ? -128 : Int32(quantization.number(of: minimum))
    }
    fileprivate func greatest(in quantization: Quantization) -> Int32 {
        maximum == .infinity ? 127 : Int32(quantization.number(of: maximum))
    }
}
