import LCPModels
import ONNX

/// Functions of every number by itself, and arithmetic between feature maps and with constants.
extension GraphImporter {
    /// The longest function that is kept before it becomes layers.
    private static let longestFormula = 64

    /// What a value is a function of, and the function; nil for what is none, or too long.
    private mutating func operand(
        _ node: ONNXNodeProto, _ index: Int
    ) throws -> (base: Feature?, term: Formula.Term)? {
        switch try value(node, index) {
        case .feature: return (try feature(node, index, inAnyOrder: true, inRows: true), .argument)
        case .formula(let formula):
            guard formula.term.size < Self.longestFormula else {
                return (try feature(node, index, inAnyOrder: true, inRows: true), .argument)
            }
            return (formula.base, formula.term)
        case .constant(let constant):
            guard constant.count == 1, constant.tensor.isFloatingPoint, let number = try constant.floats(limit: 1).first
            else { return nil }
            return (nil, .constant(Double(number)))
        case .dimensions, .several, .unknown: return nil
        }
    }

    /// A function of one value.
    mutating func function(_ node: ONNXNodeProto, _ function: Formula.Unary) throws -> Value {
        guard let (base, term) = try operand(node, 0), let base else {
            throw Problem("computes with constants alone, which lcp does not: simplify the model first")
        }
        return .formula(Formula(base: base, term: .unary(function, term), node: node.title))
    }

    /// A sum, product or such of two values.
    mutating func combine(_ node: ONNXNodeProto, _ function: Formula.Binary) throws -> Value {
        let areFeatures = (isFeature(node, 0), isFeature(node, 1))
        guard areFeatures.0 || areFeatures.1 else {
            if let dimensions = try dimensions(node, function) { return .dimensions(dimensions) }
            throw Problem("computes with constants alone, which lcp does not: simplify the model first")
        }
        let isSwapped = !areFeatures.0
        if areFeatures != (true, true) {
            let constant = try constant(node, isSwapped ? 0 : 1, "numbers")
            if case .feature(let input) = try value(node, isSwapped ? 1 : 0), input.layer < 0 {
                return try normalizeInput(node, input, constant, isSwapped: isSwapped)
            }
            if constant.count > 1 { return .feature(try scaled(node, function, constant, isSwapped: isSwapped)) }
            // A bias of one number, where nobody reads what has none.
            let place = isSwapped ? 1 : 0
            if function == .sum, constant.tensor.isFloatingPoint, graph.uses[node.input[place]] == 1,
                case .feature(let feature) = try value(node, place),
                let biased = setBias(
                    constant.stream(file: model.name).repeated(feature.shape.channels), of: feature)
            {
                return .feature(biased)
            }
        }
        if let left = try operand(node, 0), let right = try operand(node, 1), let base = left.base ?? right.base,
            left.base ?? base == right.base ?? base
        {
            return .formula(
                Formula(base: base, term: .binary(function, left.term, right.term), node: node.title))
        }
        let features = try (
            feature(node, 0, inAnyOrder: true, inRows: true), feature(node, 1, inAnyOrder: true, inRows: true)
        )
        guard features.0.isChannelsLast == features.1.isChannelsLast, features.0.areRows == features.1.areRows else {
            throw Problem("joins feature maps with their channels first and last, which is not possible")
        }
        return .feature(try joined(features.0, features.1, function))
    }

    /// Arithmetic with the dimensions of a shape; nil where it is something else.
    private func dimensions(_ node: ONNXNodeProto, _ function: Formula.Binary) throws -> [Int?]? {
        guard let left = try? integers(node, 0), let right = try? integers(node, 1),
            left.count == right.count || left.count == 1 || right.count == 1, !left.isEmpty, !right.isEmpty
        else { return nil }
        return try (0..<max(left.count, right.count)).map { index in
            guard let a = left[left.count == 1 ? 0 : index], let b = right[right.count == 1 ? 0 : index] else {
                return nil
            }
            let result: (partialValue: Int, overflow: Bool)
            switch function {
            case .sum: result = a.addingReportingOverflow(b)
            case .difference: result = a.subtractingReportingOverflow(b)
            case .product: result = a.multipliedReportingOverflow(by: b)
            case .quotient: result = a.dividedReportingOverflow(by: b)
            case .least: result = (min(a, b), false)
            case .most: result = (max(a, b), false)
            case .power: result = (0, true)
            }
            guard !result.overflow else { throw Problem("has an impossible shape") }
            return result.partialValue
        }
    }

    private mutating func joined(
        _ first: Feature, _ second: Feature, _ function: Formula.Binary
    ) throws -> Feature {
        switch function {
        case .sum: return try added(first, second)
        case .product: return try multiplied(first, second)
        case .difference:
            let negative = try rescaled(second, by: -1, plus: 0)
            return try added(first, negative)
        default:
            throw Problem(
                "joins two feature maps, and only sums, differences, products and concatenations are possible")
        }
    }

    private mutating func multiplied(_ first: Feature, _ second: Feature) throws -> Feature {
        let areVectors = (
            first.shape.elementCount == first.shape.channels, second.shape.elementCount == second.shape.channels
        )
        guard first.shape.channels == second.shape.channels, first.isChannelsLast == second.isChannelsLast,
            first.shape == second.shape && first.isFlat == second.isFlat
                || (areVectors.0 && !first.isFlat || areVectors.1 && !second.isFlat)
        else {
            throw Problem(
                "multiplies feature maps of \(first.shape) and \(second.shape), and only equal ones, or one and a factor for each of "
                    + "its channels, are possible")
        }
        let (base, other) = !isLast(first) && isLast(second) ? (second, first) : (first, second)
        let index = try reference(other)
        return try append(.multiply(index), on: base, isFlat: first.isFlat && second.isFlat)
    }

    /// A feature map and constants for each of its channels: a bias, or factors and offsets.
    private mutating func scaled(
        _ node: ONNXNodeProto, _ function: Formula.Binary, _ constant: Constant, isSwapped: Bool
    ) throws -> Feature {
        let feature = try feature(node, isSwapped ? 1 : 0, inAnyOrder: true, inRows: true)
        let isOneByOne = feature.shape.elementCount == feature.shape.channels
        guard isPerChannel(constant, feature), constant.tensor.isFloatingPoint, !feature.isFlat || isOneByOne else {
            throw Problem(
                "computes with \(constant.count) constants, and only one, or one for each channel of a feature map, is possible"
            )
        }
        if function == .sum, let biased = setBias(constant.stream(file: model.name), of: feature) { return biased }
        let numbers = try constant.floats(limit: 1 << 16)
        let ones = [Float](repeating: 1, count: numbers.count), zeros = [Float](repeating: 0, count: numbers.count)
        switch (function, isSwapped) {
        case (.sum, _): return try rescaled(feature, by: ones, plus: numbers)
        case (.difference, false): return try rescaled(feature, by: ones, plus: numbers.map { -$0 })
        case (.difference, true): return try rescaled(feature, by: ones.map { -$0 }, plus: numbers)
        case (.product, _): return try rescaled(feature, by: numbers, plus: zeros)
        case (.quotient, false): return try rescaled(feature, by: numbers.map { 1 / $0 }, plus: zeros)
        default: throw Problem("computes with constants in a way that is not possible")
        }
    }

    private mutating func rescaled(_ feature: Feature, by factor: Double, plus offset: Double) throws -> Feature {
        let channels = feature.shape.channels
        return try rescaled(
            feature, by: Array(repeating: Float(factor), count: channels),
            plus: Array(repeating: Float(offset), count: channels))
    }

    /// A factor and an offset for every channel: a depthwise convolution of single pixels.
    private mutating func rescaled(_ feature: Feature, by factors: [Float], plus offsets: [Float]) throws -> Feature {
        guard (factors + offsets).allSatisfy(\.isFinite) else {
            throw Problem("computes with numbers that are not finite")
        }
        return try append(
            .depthwiseConvolution(kernel: 1), on: feature,
            weights: LayerWeights(weight: WeightStream(factors), bias: WeightStream(offsets)))
    }

    mutating func prelu(_ node: ONNXNodeProto) throws -> Value {
        let slopes = try weight(node, 1, "slopes")
        if slopes.count == 1, let slope = try slopes.floats(limit: 1).first {
            return try function(node, .leaky(Double(slope)))
        }
        let feature = try feature(node)
        guard isPerChannel(slopes, feature), !feature.isFlat || feature.shape.elementCount == feature.shape.channels
        else {
            throw Problem("has \(slopes.count) slopes for \(feature.shape.channels) channels")
        }
        return .feature(
            try append(.prelu, on: feature, weights: LayerWeights(weight: slopes.stream(file: model.name))))
    }

    // MARK: From functions to layers

    /// The layers that compute a function of a feature map.
    mutating func layers(of formula: Formula) throws -> Feature {
        if let (factor, offset) = formula.affine {
            guard (factor, offset) != (1, 0) else { return formula.base }
            return try rescaled(formula.base, by: factor, plus: offset)
        }
        if let layer = formula.layer { return try append(layer, on: formula.base) }
        func part(_ term: Formula.Term) -> Formula { Formula(base: formula.base, term: term, node: formula.node) }
        switch formula.term {
        case .unary(let function, let inner):
            if case .argument = inner { break }
            let base = try layers(of: part(inner))
            return try layers(of: Formula(base: base, term: .unary(function, .argument), node: formula.node))
        case .binary(.power, let inner, .constant(2)):
            let base = try layers(of: part(inner))
            return try joined(base, base, .product)
        case .binary(let function, let left, .constant(let number)):
            if case .argument = left { break }
            let base = try layers(of: part(left))
            return try layers(
                of: Formula(base: base, term: .binary(function, .argument, .constant(number)), node: formula.node))
        case .binary(let function, .constant(let number), let right):
            if case .argument = right { break }
            let base = try layers(of: part(right))
            return try layers(
                of: Formula(base: base, term: .binary(function, .constant(number), .argument), node: formula.node))
        case .binary(let function, let left, let right) where [.sum, .product, .difference].contains(function):
            let (first, second) = (try layers(of: part(left)), try layers(of: part(right)))
            return try joined(first, second, function)
        default: break
        }
        throw Problem("ends a function that none of lcp's activations is", node: formula.node)
    }
}

extension Formula.Term {
    /// How many functions and numbers it has.
    var size: Int {
        switch self {
        case .argument, .constant: 1
        case .unary(_, let inner): 1 + inner.size
        case .binary(_, let left, let right): 1 + left.size + right.size
        }
    }
}
