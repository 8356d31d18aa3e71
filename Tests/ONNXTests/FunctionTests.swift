import LCPModels
import LCPONNX
import ONNX
import Platform
import Testing

@Suite("Functions of every number, as exporters write them") struct FunctionTests {
    /// A small network with nodes behind its convolution, which is called c: each is an operator, its inputs and its output; the
    /// last one's is read by what follows.
    static func imported(
        _ nodes: [(String, [String], String)], constants: [String: [Float]] = [:], shape: [Int] = []
    ) throws -> [Layer] {
        var graph = BadInputTests.graph { _ in }
        graph.addNode("Conv", "c", ["x", "w1", "b1"])
        for (name, values) in constants { _ = graph.addTensor(name, values, values.count == 1 ? [] : shape) }
        for (operation, inputs, output) in nodes {
            graph.addNode(operation, output, inputs)
        }
        graph.addNode("Flatten", "f", [nodes.last?.2 ?? "c"])
        graph.addNode("Gemm", "y", ["f", "w2", "b2"], [("transB", .int(1))])
        let proto = try ONNXModelProto(
            serializedBytes: graph.encoded(producer: "test", description: "", metadata: []))
        let imported = try ONNXImport(proto.opened(), options: .init(name: "net"))
        return Array(imported.network.layers.dropFirst())
    }

    @Test("One operator is one layer")
    func single() throws {
        for (operation, layer) in [
            ("Sigmoid", Layer.activation(.sigmoid)), ("Tanh", .activation(.tanh)),
            ("HardSwish", .activation(.hardSwish)),
            ("HardSigmoid", .activation(.hardSigmoid(alpha: 0.2, beta: 0.5))),
            ("LeakyRelu", .activation(.leakyReLU(slope: 0.01))),
            ("Elu", .activation(.elu(alpha: 1))), ("Gelu", .activation(.gelu)), ("Relu", .relu),
        ] {
            let layers = try Self.imported([(operation, ["c"], "a")])
            #expect(layers.count == 1)
            switch (layers.first, layer) {
            case (.activation(.hardSigmoid(let alpha, let beta)), _):
                #expect(abs(alpha - 0.2) < 1e-6 && abs(beta - 0.5) < 1e-6)
            case (.activation(.elu(let alpha)), _): #expect(abs(alpha - 1) < 1e-6)
            default: #expect(layers.first == layer)
            }
        }
        let slope = try Self.imported([("PRelu", ["c", "s"], "a")], constants: ["s": [0.3]])
        #expect(slope == [.activation(.leakyReLU(slope: 0.3))])
        #expect(try Self.imported([("Clip", ["c"], "a")]) == [])
    }

    @Test("Activations that are written in parts are one layer")
    func parts() throws {
        #expect(try Self.imported([("Sigmoid", ["c"], "s"), ("Mul", ["c", "s"], "a")]) == [.activation(.silu)])
        let numbers: [String: [Float]] = [
            "zero": [0], "half": [0.5], "one": [1], "three": [3], "six": [6], "sixth": [1 / 6],
            "root": [Float(2).squareRoot()],
            "cube": [0.044715], "scale": [Float((2 / Double.pi).squareRoot())],
        ]
        func layers(_ nodes: [(String, [String], String)]) throws -> [Layer] {
            try Self.imported(nodes, constants: numbers)
        }
        let clipped = [("Add", ["c", "three"], "s"), ("Clip", ["s", "zero", "six"], "k")]
        #expect(
            try layers(clipped + [("Mul", ["c", "k"], "m"), ("Div", ["m", "six"], "a")]) == [.activation(.hardSwish)])
        #expect(
            try layers(clipped + [("Mul", ["k", "sixth"], "m"), ("Mul", ["m", "c"], "a")]) == [.activation(.hardSwish)])
        let hard = try layers(clipped + [("Div", ["k", "six"], "a")])
        guard case .activation(.hardSigmoid(let alpha, let beta))? = hard.first else {
            Issue.record("\(hard)")
            return
        }
        #expect(hard.count == 1 && abs(alpha - 1 / 6) < 1e-6 && abs(beta - 0.5) < 1e-6)
        #expect(
            try layers([
                ("Div", ["c", "root"], "d"), ("Erf", ["d"], "e"), ("Add", ["e", "one"], "s"), ("Mul", ["c", "s"], "m"),
                ("Mul", ["m", "half"], "a"),
            ]) == [.activation(.gelu)])
        #expect(
            try layers([
                ("Mul", ["c", "c"], "q"), ("Mul", ["q", "c"], "r"), ("Mul", ["cube", "r"], "d"),
                ("Add", ["c", "d"], "i"),
                ("Mul", ["i", "scale"], "j"), ("Tanh", ["j"], "e"), ("Add", ["one", "e"], "s"),
                ("Mul", ["half", "c"], "h"),
                ("Mul", ["h", "s"], "a"),
            ]) == [.activation(.geluTanh)])
    }

    @Test("Factors and offsets become a convolution of single pixels, and what is no activation several layers")
    func constants() throws {
        let scaled = try Self.imported(
            [("Mul", ["c", "two"], "m"), ("Sub", ["m", "three"], "a")], constants: ["two": [2], "three": [3]])
        #expect(scaled == [.depthwiseConvolution(kernel: 1)])
        let perChannel = try Self.imported(
            [("Div", ["c", "d"], "a")], constants: ["d": [1, 2, 3, 4]], shape: [4, 1, 1])
        #expect(perChannel == [.depthwiseConvolution(kernel: 1)])
        let square = try Self.imported([("Mul", ["c", "c"], "a")])
        #expect(square == [.multiply(0)])
        let inner = try Self.imported([("Mul", ["c", "two"], "m"), ("Sigmoid", ["m"], "a")], constants: ["two": [2]])
        #expect(inner == [.depthwiseConvolution(kernel: 1), .activation(.sigmoid)])
        // A gate, read from what it gates.
        let gate = try Self.imported([
            ("Relu", ["c"], "r"), ("GlobalAveragePool", ["r"], "g"), ("Sigmoid", ["g"], "s"), ("Mul", ["r", "s"], "a"),
        ])
        #expect(gate == [.relu, .globalAveragePool, .activation(.sigmoid), .multiply(1)])
    }

    @Test("A matrix that a row for each pixel is multiplied by is a convolution of single pixels")
    func rows() throws {
        func layers(_ nodes: [(String, [String], String)], target: [Int] = [36, 4], back: [Int] = [1, 6, 6, 6]) throws
            -> [Layer]
        {
            var graph = BadInputTests.graph { _ in }
            graph.addNode("Conv", "c", ["x", "w1", "b1"])
            _ = graph.addTensor("w", (0..<24).map { Float($0) }, [4, 6])
            _ = graph.addTensor("b", (0..<6).map { Float($0) }, [6])
            _ = graph.addTensor("rows", target)
            _ = graph.addTensor("map", back)
            graph.addNode("Transpose", "t", ["c"], [("perm", .ints([0, 2, 3, 1]))])
            for (operation, inputs, output) in nodes { graph.addNode(operation, output, inputs) }
            graph.addNode("Transpose", "u", ["last"], [("perm", .ints([0, 3, 1, 2]))])
            graph.addNode("GlobalAveragePool", "g", ["u"])
            graph.addNode("Flatten", "y", ["g"])
            let proto = try ONNXModelProto(
                serializedBytes: graph.encoded(producer: "test", description: "", metadata: []))
            return Array(try ONNXImport(proto.opened(), options: .init(name: "net")).network.layers.dropFirst())
        }
        let expected: [Layer] = [.convolution(outputs: 6, kernel: 1), .activation(.gelu), .globalAveragePool]
        #expect(
            try layers([
                ("Reshape", ["t", "rows"], "r"), ("Gemm", ["r", "w", "b"], "m"), ("Gelu", ["m"], "e"),
                ("Reshape", ["e", "map"], "last"),
            ]) == expected)
        #expect(
            try layers([("MatMul", ["t", "w"], "m"), ("Add", ["m", "b"], "a"), ("Gelu", ["a"], "last")]) == expected)
        for (target, back, words) in [
            ([36, 4], [1, 36, 6], "a row for each pixel"), ([18, 8], [1, 6, 6, 6], "do not fill"),
        ] {
            let error = #expect(throws: ONNXError.self) {
                try layers(
                    [
                        ("Reshape", ["t", "rows"], "r"), ("Gemm", ["r", "w", "b"], "m"),
                        ("Reshape", ["m", "map"], "last"),
                    ],
                    target: target, back: back)
            }
            #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        }
    }

    @Test("Parts and shuffles of channels are read from Split, Slice, Gather and Reshape, and others are refused")
    func channels() throws {
        func layers(
            _ nodes: [(String, [String], [String], [(String, ONNXBuilder.Attribute)])], numbers: [String: [Int]]
        ) throws -> [Layer] {
            var graph = BadInputTests.graph { _ in }
            graph.addNode("Conv", "c", ["x", "w1", "b1"])
            for (name, values) in numbers { _ = graph.addTensor(name, values) }
            for (operation, inputs, outputs, attributes) in nodes {
                graph.addNode(operation, outputs[0], inputs, attributes)
            }
            graph.addNode("GlobalAveragePool", "g", ["last"])
            graph.addNode("Flatten", "y", ["g"])
            var proto = try ONNXModelProto(
                serializedBytes: graph.encoded(producer: "test", description: "", metadata: []))
            for (index, node) in proto.graph.node.enumerated() {
                if let outputs = nodes.first(where: { $0.2[0] == node.output[0] })?.2 {
                    proto.graph.node[index].output = outputs
                }
            }
            return Array(try ONNXImport(proto.opened(), options: .init(name: "net")).network.layers.dropFirst())
        }
        let numbers = [
            "one": [1], "two": [2], "four": [4], "sizes": [1, 3], "grouped": [1, 2, 2, 6, 6], "map": [1, 4, 6, 6],
            "odd": [0, 2, 1, 3],
            "wrong": [3, 1, 0, 2], "second": [2, 3], "minus": [-1],
        ]
        let last: Layer = .slice(first: 2, count: 2, of: 4)
        #expect(
            try layers([("Split", ["c"], ["a", "last"], [("axis", .int(1))])], numbers: numbers)
                == [.slice(first: 0, count: 2, of: 4), .output(of: 0), last, .globalAveragePool])
        #expect(
            try layers([("Split", ["c", "sizes"], ["a", "last"], [("axis", .int(1))])], numbers: numbers).contains(
                .slice(first: 1, count: 3, of: 4)))
        #expect(
            try layers([("Slice", ["c", "two", "four", "one"], ["last"], [])], numbers: numbers) == [
                last, .globalAveragePool,
            ])
        #expect(
            try layers([("Gather", ["c", "second"], ["last"], [("axis", .int(1))])], numbers: numbers) == [
                last, .globalAveragePool,
            ])
        let shuffled: [Layer] = [.shuffle(groups: 2), .globalAveragePool]
        #expect(try layers([("Gather", ["c", "odd"], ["last"], [("axis", .int(1))])], numbers: numbers) == shuffled)
        #expect(
            try layers(
                [
                    ("Reshape", ["c", "grouped"], ["r"], []),
                    ("Transpose", ["r"], ["t"], [("perm", .ints([0, 2, 1, 3, 4]))]),
                    ("Reshape", ["t", "map"], ["last"], []),
                ], numbers: numbers) == shuffled)
        for (nodes, words) in [
            ([("Gather", ["c", "wrong"], ["last"], [("axis", .int(1))])], "in an order that no shuffle"),
            ([("Slice", ["c", "two", "four", "two"], ["last"], [])], "something else than the channels"),
            ([("Split", ["c"], ["a", "last"], [("axis", .int(2))])], "something else than the channels"),
            ([("Reshape", ["c", "grouped"], ["r"], []), ("Relu", ["r"], ["last"], [])], "channels in groups"),
        ] as [([(String, [String], [String], [(String, ONNXBuilder.Attribute)])], String)] {
            let error = #expect(throws: ONNXError.self) { try layers(nodes, numbers: numbers) }
            #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        }
    }

    @Test("Zeros that a Pad puts around a map become the padding of what reads them, and nothing else may")
    func pads() throws {
        let pads: [String: [Int]] = ["around": [0, 0, 1, 0, 0, 0, 1, 2], "even": [0, 0, 1, 1, 0, 0, 1, 1]]
        func imported(_ nodes: [(String, [String], String)], kernel: [Int]) throws -> [Layer] {
            var graph = BadInputTests.graph { _ in }
            graph.addNode("Conv", "c", ["x", "w1", "b1"])
            for (name, values) in pads { _ = graph.addTensor(name, values) }
            for (operation, inputs, output) in nodes {
                let isPool = operation.hasSuffix("Pool")
                graph.addNode(operation, output, inputs, isPool ? [("kernel_shape", .ints(kernel))] : [])
            }
            graph.addNode("Flatten", "f", [nodes.last?.2 ?? "c"])
            let proto = try ONNXModelProto(
                serializedBytes: graph.encoded(producer: "test", description: "", metadata: []))
            var opened = proto
            opened.graph.output[0].name = "f"
            // Nothing classifies: the layers are looked at before that is missed.
            let error = #expect(throws: ONNXError.self) { try ONNXImport(opened.opened(), options: .init(name: "net")) }
            throw error ?? ONNXError("")
        }
        func ending(_ nodes: [(String, [String], String)], kernel: [Int] = [3, 3]) -> String {
            do { _ = try imported(nodes, kernel: kernel) } catch { return "\(error)" }
            return ""
        }
        #expect(
            ending([("Pad", ["c", "even"], "p"), ("AveragePool", ["p"], "a")]).contains(
                "average pooling 3×3/1, padding 1 that is counted"))
        #expect(
            ending([("Relu", ["c"], "r"), ("Pad", ["r", "even"], "p"), ("MaxPool", ["p"], "a")]).contains(
                "max pooling 3×3/1, padding 1"))
        // Elsewhere zeros may be more than what is there, and have to be made.
        let made = ending([("Pad", ["c", "even"], "p"), ("MaxPool", ["p"], "a")])
        #expect(made.contains("max pooling 3×3/1,") && !made.contains("padding"))
        #expect(
            ending([("Pad", ["c", "even"], "p"), ("Relu", ["p"], "a")]).contains("before a convolution or pooling only")
        )
        #expect(
            ending([("Pad", ["c", "around"], "p"), ("AveragePool", ["p"], "a")], kernel: [3, 5])
                .contains("average pooling 3×5/1, padding 1, 0, 1, 2 that is counted"))
    }

    @Test("A function that doubles with every node ends in a sentence, and not in hours")
    func doubling() throws {
        let nodes = (0..<200).map { ("Add", Array(repeating: $0 == 0 ? "c" : "n\($0 - 1)", count: 2), "n\($0)") }
        let layers = try? Self.imported(nodes + [("Softplus", ["n199"], "a")])
        #expect(layers == nil)
    }

    @Test("All reasons of a refusal are told at once, those of the same kind once, and none that follows from another")
    func reasons() throws {
        let error = #expect(throws: ONNXError.self) {
            try Self.imported(
                [
                    ("Selu", ["c"], "s"), ("Selu", ["s"], "t"), ("Relu", ["t"], "u"),
                    ("Clip", ["c", "low", "high"], "k"),
                    ("Mish", ["k"], "m"), ("Add", ["u", "m"], "a"),
                ], constants: ["low": [-1], "high": [1]])
        }
        #expect(error?.description.contains("has 2 kinds of nodes that cannot be layers: ") == true)
        let reasons = error?.reasons ?? []
        #expect(reasons.count == 2, "\(reasons)")
        #expect(reasons.first?.contains("(Selu) is an operator that lcp does not know") == true)
        #expect(reasons.first?.hasSuffix("(and 1 more like it)") == true && reasons.last?.contains("(Mish)") == true)
    }
}
