import Platform

/// The part of a model's graph that one of its outputs needs, in an order in which every node finds its inputs made.
public struct ONNXGraph {
    /// What is not made by a node and has no weights: what somebody has to give.
    public let inputs: [ONNXValueInfoProto]
    /// The name of the output.
    public let output: String
    public let nodes: [ONNXNodeProto]
    /// Tensors that are there from the beginning, by name.
    public let initializers: [String: ONNXTensorProto]
    /// How often nodes read a value, the graph's output counting once.
    public let uses: [String: Int]
    /// The names of the classes, where a node of scikit-learn's exporter says them.
    public let classLabels: [String]?

    /// - Parameter output: the name of one of several outputs; nil where there is only one.
    /// - Throws: ``ONNXError``, for example for a cycle or a value that nothing makes.
    public init(_ model: ONNXModel, output: String? = nil) throws(ONNXError) {
        let graph = model.proto.graph
        var initializers: [String: ONNXTensorProto] = [:]
        for tensor in graph.initializer {
            guard initializers.updateValue(tensor, forKey: tensor.name) == nil else {
                throw ONNXError("\(model.name): two tensors are called \(tensor.name.quoted): export it again")
            }
        }
        let inputs = graph.input.filter { initializers[$0.name] == nil }
        let outputs = graph.output.map(\.name)
        let zipped = graph.node.filter { $0.opType == "ZipMap" }
        guard let named = output ?? Self.scores(of: graph) ?? outputs.first, outputs.contains(named) else {
            throw ONNXError(
                "\(model.name) has no output \((output ?? "").quoted): it has "
                    + outputs.prefix(3).map(\.quoted).joined(separator: ", "))
        }
        guard output != nil || outputs.count == 1 || Self.scores(of: graph) != nil else {
            throw ONNXError(
                "\(model.name) has \(outputs.count) outputs, \(outputs.prefix(3).map(\.quoted).joined(separator: ", ")): choose one "
                    + "with --output")
        }
        // A table of probabilities by class, of which the numbers count.
        let first = zipped.first { $0.output.first == named }?.input.first ?? named
        classLabels = Self.classLabels(graph.node)
        var maker: [String: Int] = [:]
        let given = Set(inputs.map(\.name)).union(initializers.keys)
        for (index, node) in graph.node.enumerated() {
            for name in node.output where !name.isEmpty {
                guard maker.updateValue(index, forKey: name) == nil, !given.contains(name) else {
                    throw ONNXError(
                        "\(model.name): \(node.title(index)) makes \(name.quoted), which is there already: export it again"
                    )
                }
            }
        }
        let order = try Self.order(graph.node, for: first, maker, given, model.name)
        var uses = [first: 1]
        for index in order { for name in graph.node[index].input { uses[name, default: 0] += 1 } }
        self.inputs = inputs
        self.output = first
        self.initializers = initializers
        self.uses = uses
        // An empty name is written over, so that errors can call a node something.
        nodes = order.map { index in
            var node = graph.node[index]
            if node.name.isEmpty { node.name = "\(index)" }
            return node
        }
    }

    /// The one output with numbers, where all others are classes: what classifiers of scikit-learn have.
    private static func scores(of graph: ONNXGraphProto) -> String? {
        let tables = Set(graph.node.filter { $0.opType == "ZipMap" }.flatMap(\.output))
        let found = graph.output.filter { output in
            // FP32, FP16, FP64.
            tables.contains(output.name) || [1, 10, 11].contains(output.type.tensorType.elemType)
        }
        return found.count == 1 ? found[0].name : nil
    }

    /// What the classes are called, where a node says it.
    private static func classLabels(_ nodes: [ONNXNodeProto]) -> [String]? {
        for node in nodes {
            for attribute in node.attribute where attribute.name.hasPrefix("classlabels_") {
                if !attribute.strings.isEmpty { return attribute.strings.map { String(decoding: $0, as: UTF8.self) } }
                if !attribute.ints.isEmpty { return attribute.ints.map { "\($0)" } }
            }
        }
        return nil
    }

    /// The nodes that `output` needs, by a depth-first walk that calls no function for every node: a graph may be deep.
    private static func order(
        _ nodes: [ONNXNodeProto], for output: String, _ maker: [String: Int], _ given: Set<String>, _ file: String
    ) throws(ONNXError) -> [Int] {
        enum State { case new, open, done }
        guard let last = maker[output] else {
            throw ONNXError("\(file): no node makes the output \(output.quoted): export it again")
        }
        var states = Array(repeating: State.new, count: nodes.count)
        var needed: [Int] = []
        var path = [(node: last, input: 0)]
        states[last] = .open
        while let (index, input) = path.last {
            guard input < nodes[index].input.count else {
                states[index] = .done
                needed.append(index)
                path.removeLast()
                continue
            }
            path[path.count - 1].input += 1
            let name = nodes[index].input[input]
            if name.isEmpty || given.contains(name) { continue }
            guard let next = maker[name] else {
                throw ONNXError(
                    "\(file): \(nodes[index].title(index)) reads \(name.quoted), which nothing makes: the file is damaged or uses "
                        + "a part of ONNX that is not known")
            }
            switch states[next] {
            case .done: break
            case .new:
                states[next] = .open
                path.append((next, 0))
            case .open:
                throw ONNXError(
                    "\(file): \(nodes[next].title(next)) needs its own result: the graph has a cycle, export it again")
            }
        }
        // The file's order is the usual one, and keeps branches together; it holds unless a node comes before what it reads.
        let position = Dictionary(uniqueKeysWithValues: needed.enumerated().map { ($1, $0) })
        let sorted = needed.sorted()
        let isSorted = sorted.allSatisfy { index in
            nodes[index].input.allSatisfy { name in maker[name].map { $0 < index || position[$0] == nil } ?? true }
        }
        return isSorted ? sorted : needed
    }
}

extension ONNXNodeProto {
    /// The node for people: `node "conv1" (Conv)`.
    public var title: String { "node \(name.quoted) (\(operatorName.printable))" }

    /// The operator, with its domain where that is not ONNX's.
    public var operatorName: String {
        let name = ONNXModel.isStandard(domain) ? opType : "\(domain).\(opType)"
        return String(name.unicodeScalars.prefix(64))
    }

    fileprivate func title(_ index: Int) -> String {
        name.isEmpty ? "node \(index) (\(operatorName.printable))" : title
    }
}
