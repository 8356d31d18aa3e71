import LCPModels
import ONNX
import Platform

/// Goes through the nodes of a graph and makes layers of them.
struct GraphImporter {
    let model: ONNXModel
    let graph: ONNXGraph
    /// Whether a layer that does nothing stands before all others, so that later ones can name the network's input.
    let namesInput: Bool
    /// The network's input; a reshape of it may tell its real shape.
    var input: Feature
    /// Whether nothing tells in which order the numbers of an image lie.
    let isOrderAssumed: Bool
    /// What is done to the input before the first layer; nil until one reads it.
    private(set) var normalization: InputNormalization?

    private(set) var layers: [Layer] = []
    private(set) var weights: [LayerWeights?] = []
    /// The input of every layer, and the last one's output behind them.
    private(set) var shapes: [FeatureMapShape]
    /// Layers with weights whose graph has not given them a bias.
    private var biasless: Set<Int> = []
    /// Those that got one from a node of its own.
    private var biased: Set<Int> = []
    private(set) var values: [String: Value] = [:]

    /// - Throws: ``ONNXError``.
    static func run(
        _ model: ONNXModel, _ graph: ONNXGraph, input: FeatureMapShape?
    ) throws(ONNXError) -> GraphImporter {
        for namesInput in [false, true] {
            var importer = try GraphImporter(model, graph, input: input, namesInput: namesInput)
            do {
                try importer.readNodes()
                return importer
            } catch let error as ONNXError {
                throw error
            } catch {
                // A later layer reads the input.
                continue
            }
        }
        throw ONNXError("\(model.name): its layers read the input in a way that is not known")
    }

    private init(
        _ model: ONNXModel, _ graph: ONNXGraph, input: FeatureMapShape?, namesInput: Bool
    ) throws(ONNXError) {
        self.model = model
        self.graph = graph
        self.namesInput = namesInput
        let (name, feature, isOrderAssumed) = try InputReader(model, graph).feature(given: input)
        self.isOrderAssumed = isOrderAssumed
        self.input = feature
        shapes = [feature.shape]
        for (name, tensor) in graph.initializers where graph.uses[name] != nil {
            values[name] = .constant(Constant(try model.tensor(tensor)))
        }
        values[name] = .feature(feature)
    }

    /// Why a node cannot be a layer, as the rest of a sentence that begins with it.
    struct Problem: Error {
        let reason: String
        /// The node, where it is another one than that which is read.
        let node: String?
        init(_ reason: String, node: String? = nil) { (self.reason, self.node) = (reason, node) }
    }

    /// A layer behind the first reads the network's input.
    private struct InputIsNamed: Error {}

    /// A node reads what another one makes that cannot be a layer.
    private struct InputIsUnknown: Error {}

    private mutating func readNodes() throws {
        var reasons: [String] = []
        for node in graph.nodes {
            var results: [Value]
            do {
                let name = ONNXModel.isStandard(node.domain) ? node.opType : "\(node.domain).\(node.opType)"
                guard let reader = Self.operators[name] else {
                    throw Problem("is an operator that lcp does not know; it knows \(Self.operatorList)")
                }
                // What follows from another reason is none.
                for name in node.input { if case .unknown? = values[name] { throw InputIsUnknown() } }
                let result = try reader.read(&self, node, ONNXAttributes(node, known: reader.attributes))
                results = if case .several(let parts) = result { parts } else { [result] }
            } catch is InputIsUnknown {
                results = []
            } catch let problem as Problem {
                reasons.append("\(problem.node ?? node.title) \(problem.reason)")
                results = []
            } catch let error as NetworkError {
                reasons.append("\(node.title): \(error)")
                results = []
            } catch let error as ONNXError {
                let reason = error.description
                reasons.append(
                    reason.hasPrefix("\(model.name): ")
                        ? String(reason.dropFirst(model.name.count + 2)) : "\(node.title) \(reason)")
                results = []
            }
            for (place, name) in node.output.enumerated() {
                if results.indices.contains(place) {
                    values[name] = results[place]
                } else if results.isEmpty {
                    values[name] = .unknown
                }
            }
        }
        if case .formula(let formula)? = values[graph.output] {
            do { values[graph.output] = .feature(try layers(of: formula)) } catch let problem as Problem {
                reasons.append("\(formula.node) \(problem.reason)")
            }
        }
        guard reasons.isEmpty else { throw Self.refusal(model.name, reasons) }
    }

    /// All reasons at once, operators that are not known once for each.
    private static func refusal(_ file: String, _ reasons: [String]) -> ONNXError {
        var (told, seen): ([String], [String: Int]) = ([], [:])
        for reason in reasons {
            // Of nodes of the same kind only the first.
            let kind = String(reason.drop { $0 != "(" })
            seen[kind, default: 0] += 1
            if seen[kind] == 1 { told.append(reason) }
        }
        let listed = told.map { reason in
            let more = seen[String(reason.drop { $0 != "(" })].map { $0 - 1 } ?? 0
            let text = told.count > 1 ? reason.replacing("; it knows \(Self.operatorList)", with: "") : reason
            return more > 0 ? "\(text) (and \(more) more like it)" : text
        }
        guard listed.count > 1 else { return ONNXError("\(file): \(listed.first ?? "")") }
        var shown = listed.prefix(8).joined(separator: "; ")
        if listed.count > 8 { shown += "; and \(listed.count - 8) other kinds" }
        return ONNXError(
            "\(file) has \(listed.count) kinds of nodes that cannot be layers: \(shown)", reasons: listed)
    }

    // MARK: What a node reads

    /// Whether an input is there; one may be left out by an empty name.
    func has(_ node: ONNXNodeProto, _ index: Int) -> Bool {
        node.input.indices.contains(index) && !node.input[index].isEmpty
    }

    func value(_ node: ONNXNodeProto, _ index: Int) throws -> Value {
        guard has(node, index) else { throw Problem("lacks its input \(index)") }
        guard let value = values[node.input[index]] else {
            throw Problem("reads \(node.input[index].quoted), an output that lcp does not compute")
        }
        return value
    }

    /// Whether an input is a feature map, or a function of one.
    func isFeature(_ node: ONNXNodeProto, _ index: Int) -> Bool {
        switch try? value(node, index) {
        case .feature, .formula: true
        default: false
        }
    }

    /// - Parameter inAnyOrder: whether a feature map with its channels last will do.
    mutating func feature(
        _ node: ONNXNodeProto, _ index: Int = 0, inAnyOrder: Bool = false, inGroups: Bool = false,
        inRows: Bool = false, inPads: Bool = false
    ) throws -> Feature {
        let feature: Feature
        switch try value(node, index) {
        case .feature(let made): feature = made
        case .formula(let formula):
            feature = try layers(of: formula)
            values[node.input[index]] = .feature(feature)
        case .constant, .dimensions, .several, .unknown:
            throw Problem("computes with constants alone, which lcp does not: simplify the model first")
        }
        guard inAnyOrder || !feature.isChannelsLast else {
            throw Problem("reads a feature map with its channels last, which is possible before Flatten only")
        }
        guard inGroups || feature.grouping == nil else {
            throw Problem("reads channels in groups, which is possible where they are shuffled only")
        }
        guard inPads || feature.pads == nil else {
            throw Problem("reads what a Pad makes, which is possible before a convolution or pooling only")
        }
        guard inRows || !feature.areRows else {
            throw Problem("reads a row for each pixel, which is possible between fully connected layers only")
        }
        guard feature.isBiased || !biased.contains(feature.layer) else {
            throw Problem("reads what a layer makes before its bias is added, which is not possible")
        }
        return feature
    }

    func constant(_ node: ONNXNodeProto, _ index: Int, _ what: String) throws -> Constant {
        guard case .constant(let constant) = try value(node, index) else {
            throw Problem("has \(what) that are computed from the input; they have to be fixed")
        }
        return constant
    }

    /// Weights: floating-point constants.
    func weight(_ node: ONNXNodeProto, _ index: Int, _ what: String) throws -> Constant {
        let constant = try constant(node, index, what)
        guard constant.tensor.isFloatingPoint else {
            throw Problem(
                "has \(what) of the type \(constant.tensor.type): only floating-point numbers are read, not quantised ones"
            )
        }
        return constant
    }

    /// Whole numbers: constants, or dimensions that the graph computes with; nil is the batch.
    func integers(_ node: ONNXNodeProto, _ index: Int) throws -> [Int?] {
        switch try value(node, index) {
        case .dimensions(let dimensions): return dimensions
        case .constant(let constant): return try constant.tensor.integers()
        case .feature, .formula, .several, .unknown:
            throw Problem("has a shape or axes that are computed from the input; they have to be fixed")
        }
    }

    /// How often a node's first output is read.
    func uses(_ node: ONNXNodeProto) -> Int { node.output.first.flatMap { graph.uses[$0] } ?? 0 }

    // MARK: What it makes

    /// Adds a layer that reads `feature`.
    mutating func append(
        _ layer: Layer, on feature: Feature, weights layerWeights: LayerWeights? = nil, isFlat: Bool? = nil
    ) throws -> Feature {
        try read(feature)
        var result = try push(layer, layerWeights, isFlat: isFlat ?? feature.isFlat)
        result.isChannelsLast = feature.isChannelsLast && result.shape == feature.shape
        result.areRows = feature.areRows && result.isChannelsLast
        if !result.isFlat, result.shape.height == 1 || feature.view == .plane { result.view = feature.view }
        result.isAlone = feature.isAlone && result.isFlat
        return result
    }

    /// The index by which a layer can name a feature.
    mutating func reference(_ feature: Feature) throws -> Int {
        guard feature.layer < 0 else { return feature.layer }
        if layers.isEmpty { try read(feature) }
        guard namesInput else { throw InputIsNamed() }
        try note(feature)
        return 0
    }

    /// Whether the last layer made a feature.
    func isLast(_ feature: Feature) -> Bool { feature.layer == layers.count - 1 && feature.layer >= 0 }

    private mutating func read(_ feature: Feature) throws {
        if feature.layer < 0 {
            try note(feature)
            guard !layers.isEmpty else {
                if namesInput { _ = try push(.dropout(rate: 0), nil, isFlat: feature.isFlat) }
                return
            }
            guard namesInput else { throw InputIsNamed() }
            if layers.count > 1 { _ = try push(.output(of: 0), nil, isFlat: feature.isFlat) }
        } else if feature.layer != layers.count - 1 {
            _ = try push(.output(of: feature.layer), nil, isFlat: feature.isFlat)
        }
    }

    private mutating func note(_ feature: Feature) throws {
        let here = feature.normalization ?? InputNormalization(channels: input.shape.channels)
        guard normalization == nil || normalization == here else {
            throw Problem("reads the input normalised in another way than layers before it, which is not possible")
        }
        normalization = here
    }

    private mutating func push(_ layer: Layer, _ layerWeights: LayerWeights?, isFlat: Bool) throws -> Feature {
        guard layers.count < 4096 else { throw Problem("is behind 4096 layers, and no network may have more") }
        let shape = try layer.output(of: shapes[layers.count], referenced: layer.references.map { shapes[$0 + 1] })
        guard shape.elementCount <= 1 << 28 else {
            throw Problem("makes a feature map of \(shape), and none may hold more than 268,435,456 numbers")
        }
        layers.append(layer)
        weights.append(layerWeights)
        shapes.append(shape)
        return Feature(layer: layers.count - 1, shape: shape, isFlat: isFlat)
    }

    /// Gives the network's input another shape with as many numbers, before any layer has read it.
    mutating func reshapeInput(_ shape: FeatureMapShape) -> Feature? {
        guard layers.isEmpty, normalization == nil else { return nil }
        input = Feature(layer: -1, shape: shape, isFlat: false)
        shapes = [shape]
        return input
    }

    mutating func markBiasless(_ feature: Feature) { biasless.insert(feature.layer) }

    /// Gives a layer that has none its bias.
    ///
    /// - Returns: the layer's output with it; nil where the feature is no such layer's own output.
    mutating func setBias(_ bias: WeightStream, of feature: Feature) -> Feature? {
        guard isLast(feature), biasless.remove(feature.layer) != nil else { return nil }
        biased.insert(feature.layer)
        weights[feature.layer]?.bias = bias
        layers[feature.layer] = layers[feature.layer].withBias
        var result = feature
        result.isBiased = true
        return result
    }
}
