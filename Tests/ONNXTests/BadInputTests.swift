import Foundation
import LCPModels
import ONNX
import Platform
import SwiftProtobuf
import Testing

@testable import LCPONNX

/// Files that cannot be used: one sentence each, with the file, the node where it is one, and what is wrong.
@Suite struct BadInputTests {
    /// A network that is good: a convolution, its map flattened, and a fully connected layer.
    static func graph(_ change: (inout ONNXBuilder) -> Void = { _ in }) -> ONNXBuilder {
        var graph = ONNXBuilder(name: "net")
        graph.addInput("x", [3, 8, 8], description: "")
        graph.addTensor("w1", [Float](repeating: 0.1, count: 4 * 27), [4, 3, 3, 3])
        graph.addTensor("b1", [1, 2, 3, 4], [4])
        graph.addTensor("w2", [Float](repeating: 0.1, count: 5 * 144), [5, 144])
        graph.addTensor("b2", [1, 2, 3, 4, 5], [5])
        change(&graph)
        graph.addOutput("y", [5], description: "")
        return graph
    }

    static func model(_ change: (inout ONNXModelProto) -> Void = { _ in }) throws -> ONNXModelProto {
        let graph = graph { graph in
            graph.addNode("Conv", "c", ["x", "w1", "b1"])
            graph.addNode("Flatten", "f", ["c"])
            graph.addNode("Gemm", "y", ["f", "w2", "b2"], [("transB", .int(1))])
        }
        var proto = try ONNXModelProto(
            serializedBytes: Data(graph.encoded(producer: "test", description: "", metadata: [])))
        change(&proto)
        return proto
    }

    /// The sentence of a refusal, checked to be one.
    static func refusal(_ proto: ONNXModelProto) throws -> String {
        let error = #expect(throws: ONNXError.self) {
            let imported = try ONNXImport(proto.opened(), options: .init(name: "net"))
            try withFolder { _ = try imported.written(to: $0) }
        }
        let sentence = error?.description ?? ""
        #expect(sentence.contains("net.onnx") && !sentence.contains("\n") && sentence.utf8.count < 1024)
        return sentence
    }

    @Test(
        "A dropout that is said to be for inference, or drops nothing, is none",
        arguments: [(63, 0), (0, 1)] as [(UInt8, UInt8)])
    func harmlessDropout(rate: UInt8, training: UInt8) throws {
        let proto = try Self.model { proto in
            proto.graph.initializer.append(Self.constant("rate", 1, [0, 0, 0, rate]))
            proto.graph.initializer.append(Self.constant("training", 9, [training]))
            Self.inserted(Self.node("Dropout", ["c", "rate", "training"], "d"), &proto)
        }
        let layers = try ONNXImport(proto.opened(), options: .init(name: "net")).network.layers
        #expect(layers.contains(.dropout(rate: rate == 0 ? 0 : 0.5)))
    }

    @Test func theGoodOneIsGood() throws {
        #expect(try ONNXImport(Self.model().opened(), options: .init(name: "net")).network.classes == 5)
    }

    struct Case: Sendable, CustomStringConvertible {
        var words: String
        var change: @Sendable (inout ONNXModelProto) -> Void
        var description: String { words }

        init(_ words: String, _ change: @escaping @Sendable (inout ONNXModelProto) -> Void) {
            self.words = words
            self.change = change
        }
    }

    static func attribute(_ name: String, ints: [Int64] = [], i: Int64 = 0, s: String = "") -> ONNXAttributeProto {
        var attribute = ONNXAttributeProto()
        (attribute.name, attribute.ints, attribute.i, attribute.s) = (name, ints, i, Data(s.utf8))
        return attribute
    }

    static func node(_ operation: String, _ inputs: [String], _ output: String) -> ONNXNodeProto {
        var node = ONNXNodeProto()
        (node.opType, node.input, node.output) = (operation, inputs, [output])
        return node
    }

    /// A number of an ONNX type, as its bytes.
    static func constant(_ name: String, _ type: Int32, _ bytes: [UInt8]) -> ONNXTensorProto {
        var tensor = ONNXTensorProto()
        (tensor.name, tensor.dataType, tensor.rawData) = (name, type, Data(bytes))
        return tensor
    }

    /// Puts a node between the convolution and the flattening.
    static func inserted(_ node: ONNXNodeProto, _ proto: inout ONNXModelProto) {
        proto.graph.node.insert(node, at: 1)
        proto.graph.node[2].input[0] = node.output[0]
    }

    static let cases: [Case] = [
        Case("operator set") { $0.opsetImport[0].version = 99 },
        Case("operator set") { $0.opsetImport[0].version = 6 },
        Case("operator set") { $0.opsetImport[0].domain = "other" },
        Case("format (IR) version 99") { $0.irVersion = 99 },
        Case("no graph with nodes") { $0.graph.node = [] },
        Case("node \"c\" (Selu) is an operator that lcp does not know") { $0.graph.node[0].opType = "Selu" },
        Case("(com.microsoft.Conv) is an operator") { $0.graph.node[0].domain = "com.microsoft" },
        Case("node \"c\" (Conv) has dilations of 0×2") {
            $0.graph.node[0].attribute = [attribute("dilations", ints: [0, 2])]
        },
        Case("node \"c\" (Conv) has pads of -1×0×1×2") {
            $0.graph.node[0].attribute = [attribute("pads", ints: [-1, 0, 1, 2])]
        },
        Case("strides of 1×2000") { $0.graph.node[0].attribute = [attribute("strides", ints: [1, 2000])] },
        Case("attribute \"sparse\"") { $0.graph.node[0].attribute = [attribute("sparse", i: 1)] },
        Case("in 2 groups") { $0.graph.node[0].attribute = [attribute("group", i: 2)] },
        Case("in -1 groups") { $0.graph.node[0].attribute = [attribute("group", i: -1)] },
        Case("kernel_shape") { $0.graph.node[0].attribute = [attribute("kernel_shape", ints: [5, 5])] },
        Case("does not fit an input of 8×8×3") {
            $0.graph.initializer[0].dims = [4, 3, 9, 1]
        },
        Case("auto_pad") { $0.graph.node[0].attribute = [attribute("auto_pad", s: "SAME")] },
        Case("do not fit an input of 144 features") { $0.graph.initializer[2].dims = [10, 72] },
        Case("its dimensions say") { $0.graph.initializer[2].dims = [5, 145] },
        Case("impossible dimensions") { $0.graph.initializer[2].dims = [.max, .max] },
        Case("impossible dimensions") { $0.graph.initializer[2].dims = [-5, -144] },
        Case("biases for") {
            $0.graph.initializer[1].dims = [2, 2]; $0.graph.node[2].input[2] = "b1"
        },
        Case("which is not known: export it with FP32") { $0.graph.initializer[0].dataType = 23 },
        Case("not quantised ones") {
            $0.graph.initializer[1].dataType = 3
            $0.graph.initializer[1].rawData = Data([1, 2, 3, 4])
        },
        Case("holds inf") { proto in
            withUnsafeBytes(of: Float.infinity) { proto.graph.initializer[3].rawData.replaceSubrange(0..<4, with: $0) }
        },
        Case("two tensors are called \"w1\"") { $0.graph.initializer[1].name = "w1" },
        Case("the graph has a cycle") { $0.graph.node[0].input[0] = "f" },
        Case("which nothing makes") { $0.graph.node[0].input[0] = "lost" },
        Case("which is there already") { $0.graph.node[1].output[0] = "c" },
        Case("no node makes the output") { $0.graph.node[2].output[0] = "z" },
        Case("that is not flattened") { $0.graph.node[2].input[0] = "c" },
        Case("ends with ReLU") {
            $0.graph.node.append(node("Relu", ["y"], "z"))
            $0.graph.output[0].name = "z"
        },
        Case("(Clip) ends a function that none of lcp's activations is") { proto in
            var clip = node("Clip", ["c"], "clipped")
            clip.attribute = [attribute("min"), attribute("max")]
            (clip.attribute[0].f, clip.attribute[1].f) = (-1, 1)
            inserted(clip, &proto)
        },
        Case("(Dropout) drops numbers at random") { proto in
            proto.graph.initializer.append(constant("rate", 1, [0, 0, 0, 63]))
            proto.graph.initializer.append(constant("training", 9, [1]))
            inserted(node("Dropout", ["c", "rate", "training"], "d"), &proto)
        },
        Case("(Sigmoid) is possible at the end of a network with one output only") {
            $0.graph.node.append(node("Sigmoid", ["y"], "s"))
            $0.graph.output[0].name = "s"
        },
        Case("joins two feature maps") { proto in
            proto.graph.node.insert(node("Relu", ["c"], "r"), at: 1)
            proto.graph.node.insert(node("Div", ["c", "r"], "d"), at: 2)
            proto.graph.node[3].input[0] = "d"
        },
        Case("computes with 4 constants") { inserted(node("Mul", ["c", "b1"], "m"), &$0) },
        Case("before its bias is added") { proto in
            proto.graph.node[0].input.removeLast()
            proto.graph.initializer[1].dims = [1, 4, 1, 1]
            proto.graph.node.insert(node("Add", ["c", "b1"], "a"), at: 1)
            proto.graph.node.insert(node("Add", ["a", "c"], "s"), at: 2)
            proto.graph.node[3].input[0] = "s"
        },
        Case("counts its padding (count_include_pad) and rounds its output up") { proto in
            var pool = node("AveragePool", ["c"], "p")
            pool.attribute = [
                attribute("kernel_shape", ints: [3, 3]), attribute("pads", ints: [1, 1, 1, 1]),
                attribute("strides", ints: [3, 3]), attribute("ceil_mode", i: 1), attribute("count_include_pad", i: 1),
            ]
            inserted(pool, &proto)
        },
        Case("does not fit an input") { proto in
            var pool = node("MaxPool", ["c"], "p")
            pool.attribute = [attribute("kernel_shape", ints: [9, 9])]
            inserted(pool, &proto)
        },
        Case("channels last, which is possible before Flatten only") { proto in
            var turn = node("Transpose", ["c"], "t")
            turn.attribute = [attribute("perm", ints: [0, 2, 3, 1])]
            inserted(turn, &proto)
            proto.graph.node.insert(node("GlobalAveragePool", ["t"], "g"), at: 2)
            proto.graph.node[3].input[0] = "g"
        },
        Case("swaps dimensions of a feature map") { proto in
            var turn = node("Transpose", ["c"], "t")
            turn.attribute = [attribute("perm", ints: [0, 1, 3, 2])]
            inserted(turn, &proto)
        },
        Case("that 144 numbers do not fill") { proto in
            proto.graph.node[1].opType = "Reshape"
            proto.graph.node[1].input.append("shape")
            var shape = ONNXTensorProto()
            (shape.name, shape.dataType, shape.dims, shape.int64Data) = ("shape", 7, [2], [-1, 100])
            proto.graph.initializer.append(shape)
        },
        Case("2 inputs") { proto in
            var second = proto.graph.input[0]
            second.name = "x2"
            proto.graph.input.append(second)
            inserted(node("Add", ["c", "x2"], "s"), &proto)
        },
        Case("no floating-point numbers or bytes") { $0.graph.input[0].type.tensorType.elemType = 8 },
        Case("has weights of 4 dimensions") { $0.graph.input[0].type.tensorType.shape.dim.removeLast() },
        Case("has 5 dimensions") { $0.graph.input[0].type.tensorType.shape.dim.append(.init()) },
        Case("give it with --input") { $0.graph.input[0].type.tensorType.shape.dim[2].dimParam = "height" },
        Case("is not possible") { $0.graph.input[0].type.tensorType.shape.dim[2].dimValue = 1 << 40 },
        Case("has no name") { $0.graph.initializer[0].dataLocation = .external },
        Case("which a model in memory cannot have") { proto in
            proto.graph.initializer[0].dataLocation = .external
            var location = ONNXStringStringEntryProto()
            (location.key, location.value) = ("location", "weights.bin")
            proto.graph.initializer[0].externalData = [location]
        },
    ]

    @Test(arguments: cases) func aModelIsRefused(_ example: Case) throws {
        let sentence = try Self.refusal(Self.model(example.change))
        #expect(sentence.contains(example.words))
    }

    /// The last tensor that is cut short is told, and never read.
    @Test func everyPrefixIsRefused() throws {
        let bytes: [UInt8] = try Self.model().serializedBytes()
        for length in 0..<bytes.count {
            #expect(throws: ONNXError.self) {
                _ = try ONNXImport(
                    ONNXModel(decoding: Array(bytes.prefix(length)), name: "net.onnx"), options: .init(name: "net"))
            }
        }
    }

    @Test func otherFilesAreNone() throws {
        let folder = Golden.folder.deletingLastPathComponent()
        for path in [
            "images/colour.png", "make-torch.py", "manifests/sum.json", "missing.onnx", "images", "onnx/expected.json",
        ] {
            let error = #expect(throws: ONNXError.self) {
                try ONNXModel(path: folder.appendingPathComponent(path).path)
            }
            #expect(error?.description.contains(path) == true)
        }
        #expect(throws: ONNXError.self) { try ONNXModel(path: "/dev/zero") }
    }

    @Test func externalDataStaysInItsFolder() throws {
        try withFolder { folder in
            let golden = try #require(Golden.named("external"))
            let weights = URL(fileURLWithPath: golden.path).deletingPathExtension().appendingPathExtension("bin").path
            let path = "\(folder)/models/net.onnx"
            try FileManager.default.createDirectory(atPath: "\(folder)/models", withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: weights, toPath: "\(folder)/outside.bin")
            try FileManager.default.createSymbolicLink(
                atPath: "\(folder)/models/link.bin", withDestinationPath: "\(folder)/outside.bin")
            func refusal(_ location: String, offset: String? = nil, length: String? = nil) throws -> String {
                var proto = try golden.proto()
                for index in proto.graph.initializer.indices {
                    for entry in proto.graph.initializer[index].externalData.indices {
                        switch proto.graph.initializer[index].externalData[entry].key {
                        case "location": proto.graph.initializer[index].externalData[entry].value = location
                        case "offset":
                            if let offset { proto.graph.initializer[index].externalData[entry].value = offset }
                        case "length":
                            if let length { proto.graph.initializer[index].externalData[entry].value = length }
                        default: break
                        }
                    }
                }
                let bytes: [UInt8] = try proto.serializedBytes()
                try FileIO.write(bytes, to: path)
                let error = #expect(throws: ONNXError.self) {
                    let imported = try ONNXImport(ONNXModel(path: path), options: .init(name: "net"))
                    _ = try imported.written(to: folder)
                }
                #expect(!FileManager.default.fileExists(atPath: "\(folder)/bundle"))
                return error?.description ?? ""
            }
            for location in ["../outside.bin", "\(folder)/outside.bin", "link.bin", "a/../../outside.bin", "."] {
                #expect(try refusal(location).contains("outside the model's folder"))
            }
            #expect(try refusal("missing.bin").contains("not there"))
            try FileManager.default.copyItem(atPath: weights, toPath: "\(folder)/models/here.bin")
            #expect(try refusal("here.bin", offset: "1000000").contains("begins outside"))
            #expect(try refusal("here.bin", offset: "-4").contains("begins outside"))
            #expect(try refusal("here.bin", length: "99999999").contains("ends outside"))
            #expect(try refusal("here.bin", length: "4").contains("its dimensions say"))
            #expect(try refusal("here.bin", offset: "x").contains("begins outside"))
        }
    }

    @Test func whereWritingFailsNothingIsWritten() throws {
        var proto = try Self.model()
        withUnsafeBytes(of: Float.nan) { proto.graph.initializer[3].rawData.replaceSubrange(4..<8, with: $0) }
        let imported = try ONNXImport(proto.opened(), options: .init(name: "net"))
        // It is told also where nothing is to be written.
        let error = #expect(throws: ONNXError.self) { try imported.weights.check() }
        #expect(error?.description.contains("no usable weight") == true)
        try ONNXImport(Self.model().opened(), options: .init(name: "net")).weights.check()
        try withFolder { folder in
            #expect(throws: (any Error).self) { try imported.written(to: folder) }
            let names = try FileIO.list(folder)
            #expect(names.isEmpty)
            // An older bundle stays as it was.
            let good = try ONNXImport(Self.model().opened(), options: .init(name: "net")).written(to: folder)
            #expect(throws: (any Error).self) { try imported.written(to: folder) }
            #expect(try ModelBundle(path: good.path).parameters() == good.parameters())
            let after = try FileIO.list(folder)
            #expect(after == ["bundle"])
        }
    }
}
