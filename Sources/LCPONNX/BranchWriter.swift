import LCPModels
import ONNX

/// Writes the layers of one branch as nodes of a graph.
struct BranchWriter {
    private let network: BranchedNetwork
    private let branch: Int
    private let parameters: BranchParameters
    /// Nil for a branch in single precision. Otherwise its numbers of eight bits stand in the file with the nodes that make real
    /// ones of them and back, from which runtimes make operations in eight bits.
    private let integers: IntegerBranch?
    /// What stands before the names of the branch's nodes and tensors.
    private let prefix: String

    /// A value of the graph and whether it is [N, features] rather than [N, C, H, W].
    private struct Made {
        var name: String
        var isFlat: Bool
    }

    init(
        _ network: BranchedNetwork, branch: Int, _ parameters: BranchParameters, integers: IntegerBranch? = nil,
        prefix: String
    ) {
        self.network = network
        self.branch = branch
        self.parameters = parameters
        self.integers = integers
        self.prefix = prefix
    }

    /// Adds the branch.
    ///
    /// - Parameter input: the normalised image, [N, C, H, W].
    /// - Returns: the name of its pre-final activations, [N, features].
    func add(to graph: inout ONNXBuilder, input: String) throws -> String {
        let layers = network.branches[branch]
        let shapes = try network.shapes(of: branch)
        var made: [Made] = []
        let first = integers.map { graph.addRounding("\(prefix)input", input, $0.values[0]) }
        var current = Made(name: first ?? input, isFlat: false)
        for (index, layer) in layers.enumerated() {
            let name = "\(prefix)layers.\(index)"
            let from = shapes[index]
            /// What the layer reads, as a map or as features.
            func seen(_ value: Made, isFlat: Bool, _ suffix: String = "") -> String {
                guard value.isFlat != isFlat else { return value.name }
                if isFlat {
                    return graph.addNode("Flatten", "\(name).flat\(suffix)", [value.name], [("axis", .int(1))])
                }
                // Only vectors are flat.
                let shape = graph.addTensor("\(name).shape\(suffix)", [0, -1, 1, 1])
                return graph.addNode("Reshape", "\(name).map\(suffix)", [value.name, shape])
            }
            func node(
                _ operation: String, _ isFlat: Bool?, _ tensors: [String] = [],
                _ attributes: [(String, ONNXBuilder.Attribute)] = []
            ) {
                let isFlat = isFlat ?? current.isFlat
                let inputs = [seen(current, isFlat: isFlat)] + tensors
                current = Made(name: graph.addNode(operation, name, inputs, attributes), isFlat: isFlat)
            }
            func attributes(_ window: Window) -> [(String, ONNXBuilder.Attribute)] {
                var attributes: [(String, ONNXBuilder.Attribute)] = [
                    ("kernel_shape", .ints([window.height, window.width])),
                    ("strides", .ints([window.strideDown, window.strideAcross])),
                    ("pads", .ints([window.top, window.left, window.bottom, window.right])),
                ]
                if window.isDilated {
                    attributes.append(("dilations", .ints([window.dilationDown, window.dilationAcross])))
                }
                if window.roundsUp { attributes.append(("ceil_mode", .int(1))) }
                return attributes
            }
            func weights() throws -> [String] {
                guard let values = parameters[index], let dimensions = layer.weightDimensions(input: from) else {
                    throw ONNXError("layer \(index), \(layer), has no weights")
                }
                if let integers, let weights = integers.layers[index] {
                    return graph.addWeights(name, weights, dimensions, input: integers.values[index])
                }
                var names = [graph.addTensor("\(name).weight", values.weight, dimensions)]
                if layer.hasBias { names.append(graph.addTensor("\(name).bias", values.bias, [dimensions[0]])) }
                if layer.hasStatistics {
                    names.append(graph.addTensor("\(name).running_mean", values.runningMean, [dimensions[0]]))
                    names.append(graph.addTensor("\(name).running_var", values.runningVariance, [dimensions[0]]))
                }
                return names
            }
            func scalar(_ suffix: String, _ value: Float) -> String {
                graph.addTensor("\(name).\(suffix)", [value], [])
            }
            switch layer {
            case .convolution(_, let window, let groups, _):
                node("Conv", false, try weights(), attributes(window) + [("group", .int(groups))])
            case .depthwiseConvolution(let window, _):
                node("Conv", false, try weights(), attributes(window) + [("group", .int(from.channels))])
            case .maxPool(let window): node("MaxPool", false, [], attributes(window))
            case .averagePool(let window, let countsPadding):
                let counted: [(String, ONNXBuilder.Attribute)] = countsPadding ? [("count_include_pad", .int(1))] : []
                node("AveragePool", false, [], attributes(window) + counted)
            case .globalAveragePool: node("GlobalAveragePool", false)
            case .batchNormalization(let epsilon):
                node("BatchNormalization", nil, try weights(), [("epsilon", .float(epsilon))])
            case .localResponseNormalization(let size, let alpha, let beta, let k):
                node(
                    "LRN", false, [],
                    [("size", .int(size)), ("alpha", .float(alpha)), ("beta", .float(beta)), ("bias", .float(k))])
            case .channelNormalization(let epsilon):
                // Over the last axis only: the channels go there and back.
                let input = seen(current, isFlat: false)
                let last = graph.addNode("Transpose", "\(name).last", [input], [("perm", .ints([0, 2, 3, 1]))])
                let normalized = graph.addNode(
                    "LayerNormalization", "\(name).normalized", [last] + (try weights()),
                    [("axis", .int(-1)), ("epsilon", .float(epsilon))])
                let made = graph.addNode("Transpose", name, [normalized], [("perm", .ints([0, 3, 1, 2]))])
                current = Made(name: made, isFlat: false)
            case .slice, .shuffle:
                let picked = graph.addTensor("\(name).channels", layer.picked(of: from.channels) ?? [])
                node("Gather", false, [picked], [("axis", .int(1))])
            case .fullyConnected: node("Gemm", true, try weights(), [("transB", .int(1))])
            case .relu: node("Relu", nil)
            case .relu6: node("Clip", nil, [scalar("min", 0), scalar("max", 6)])
            case .activation(let function):
                current.name = graph.addActivation(name, current.name, function)
            case .prelu:
                guard let slopes = parameters[index]?.weight else {
                    throw ONNXError("layer \(index), \(layer), has no weights")
                }
                let dimensions = current.isFlat ? [slopes.count] : [slopes.count, 1, 1]
                node("PRelu", nil, [graph.addTensor("\(name).weight", slopes, dimensions)])
            case .dropout(let rate): node("Dropout", nil, [scalar("rate", rate)])
            case .softmax: node("Softmax", nil, [], [("axis", .int(1))])
            case .output(let earlier): current = made[earlier]
            case .add(let earlier):
                node("Add", nil, [seen(made[earlier], isFlat: current.isFlat, ".other")])
            case .multiply(let earlier):
                let isFlat = current.isFlat && made[earlier].isFlat
                node("Mul", isFlat, [seen(made[earlier], isFlat: isFlat, ".other")])
            case .concatenate(let earlier):
                let isFlat = current.isFlat
                let others = earlier.enumerated().map { seen(made[$1], isFlat: isFlat, ".\($0)") }
                node("Concat", nil, others, [("axis", .int(1))])
            }
            if rounds(index) {
                if let value = integers?.values[index + 1] {
                    current.name = graph.addRounding(name, current.name, value)
                }
            }
            made.append(current)
        }
        guard !current.isFlat else { return current.name }
        return graph.addNode("Flatten", "\(prefix)flat", [current.name], [("axis", .int(1))])
    }

    /// Whether what a layer makes is rounded to numbers of eight bits: not where it only picks some, and not before a ReLU with the
    /// same scale, which runtimes then take together with it.
    private func rounds(_ index: Int) -> Bool {
        let layers = network.branches[branch]
        switch layers[index] {
        case .maxPool, .dropout, .output: return false
        default: break
        }
        guard index + 1 < layers.count, let values = integers?.values else { return true }
        let isReLU = layers[index + 1] == .relu || layers[index + 1] == .relu6
        let isRead = layers.contains { $0.references.contains(index) }
        return !(isReLU && !isRead && values[index + 1] == values[index + 2])
    }
}

extension ONNXBuilder {
    /// Adds an activation, by several operators where this operator set has none.
    ///
    /// - Returns: the name of what it makes.
    mutating func addActivation(_ name: String, _ value: String, _ function: Activation) -> String {
        func constant(_ suffix: String, _ number: Float) -> String { addTensor("\(name).\(suffix)", [number], []) }
        /// Half of a value, times something and 1.
        func half(_ other: String) -> String {
            let sum = addNode("Add", "\(name).sum", [other, constant("one", 1)])
            let product = addNode("Mul", "\(name).product", [value, sum])
            return addNode("Mul", name, [product, constant("half", 0.5)])
        }
        switch function {
        case .sigmoid: return addNode("Sigmoid", name, [value])
        case .tanh: return addNode("Tanh", name, [value])
        case .silu: return addNode("Mul", name, [value, addNode("Sigmoid", "\(name).sigmoid", [value])])
        case .hardSigmoid(let alpha, let beta):
            return addNode("HardSigmoid", name, [value], [("alpha", .float(alpha)), ("beta", .float(beta))])
        case .hardSwish: return addNode("HardSwish", name, [value])
        case .leakyReLU(let slope): return addNode("LeakyRelu", name, [value], [("alpha", .float(slope))])
        case .elu(let alpha): return addNode("Elu", name, [value], [("alpha", .float(alpha))])
        case .gelu:
            let scaled = addNode("Mul", "\(name).scaled", [value, constant("scale", Float(0.5).squareRoot())])
            return half(addNode("Erf", "\(name).erf", [scaled]))
        case .geluTanh:
            let square = addNode("Mul", "\(name).square", [value, value])
            let cube = addNode("Mul", "\(name).cube", [square, value])
            let small = addNode("Mul", "\(name).small", [cube, constant("factor", 0.044715)])
            let inner = addNode("Add", "\(name).inner", [value, small])
            let scaled = addNode("Mul", "\(name).scaled", [inner, constant("scale", (2 / Float.pi).squareRoot())])
            return half(addNode("Tanh", "\(name).tanh", [scaled]))
        }
    }

    /// Rounds a value to numbers of eight bits.
    ///
    /// - Returns: the name of the real numbers that these stand for.
    mutating func addRounding(_ name: String, _ value: String, _ quantization: Quantization) -> String {
        let constants = [
            addTensor("\(name).scale", [quantization.scale], []),
            addWholeNumbers("\(name).zero", [quantization.zero], []),
        ]
        let numbers = addNode("QuantizeLinear", "\(name).numbers", [value] + constants)
        return addNode("DequantizeLinear", "\(name).real", [numbers] + constants)
    }

    /// Adds weights of eight bits, and biases of 32.
    ///
    /// - Returns: the names of the real numbers that they stand for.
    mutating func addWeights(
        _ name: String, _ weights: IntegerWeights, _ dimensions: [Int], input: Quantization
    ) -> [String] {
        let scale = addTensor("\(name).weight_scale", weights.scale, [dimensions[0]])
        let weight = addWholeNumbers("\(name).weight", weights.weight, dimensions)
        let biasScale = addTensor(
            "\(name).bias_scale", weights.scale.map { $0 * input.scale }, [dimensions[0]])
        let bias = addWholeNumbers("\(name).bias", weights.bias, [dimensions[0]])
        return [
            addNode("DequantizeLinear", "\(name).weight.real", [weight, scale], [("axis", .int(0))]),
            addNode("DequantizeLinear", "\(name).bias.real", [bias, biasScale], [("axis", .int(0))]),
        ]
    }
}
