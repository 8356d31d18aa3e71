import LCPModels
import LCPONNX
import ONNX
import Platform
import Testing

@Suite struct ImportTests {
    @Test("All fixtures are there") func allFixturesAreThere() { #expect(Golden.all.count == 22) }

    @Test(arguments: Golden.all) func aNetworkComputesWhatONNXRuntimeDoes(_ golden: Golden) throws {
        try withFolder { folder in
            let bundle = try golden.imported().written(to: folder)
            #expect(bundle.network.input == golden.input)
            let ours = try logits(bundle)
            let isSoftmax = golden.content.options.contains("softmax")
            // Half precision is ONNX Runtime's, not ours.
            let tolerance: Float = golden.name == "half" ? 5e-3 : 1e-4
            var computed = isSoftmax ? softmax(ours) : ours
            // Its one output is the probability of the second class.
            if golden.content.options.contains("yes-no") { computed = [softmax(ours)[1]] }
            #expect(largestDifference(computed, golden.content.logits) < tolerance)
        }
    }

    @Test("A network with one output says no or yes") func yesOrNo() throws {
        let golden = try #require(Golden.named("yes-no"))
        let imported = try golden.imported()
        #expect(imported.network.classes == 2 && imported.labels == ["no", "yes"] && imported.isYesNo)
        // Without a sigmoid the output is the logit.
        var proto = try golden.proto()
        proto.graph.node.removeLast()
        proto.graph.output[0].name = "z"
        let logit = try ONNXImport(proto.opened(), options: .init(name: "net"))
        #expect(try logit.weights.merge.parameters() == imported.weights.merge.parameters() && logit.isYesNo)
        // PyTorch's squeeze(1) and reshape(-1) leave the batch alone.
        var squeezed = try golden.proto()
        squeezed.graph.initializer.append(BadInputTests.constant("one", 7, [1, 0, 0, 0, 0, 0, 0, 0]))
        squeezed.graph.node.append(BadInputTests.node("Squeeze", ["y", "one"], "p"))
        squeezed.graph.output[0].name = "p"
        #expect(try ONNXImport(squeezed.opened(), options: .init(name: "net")).isYesNo)
        // A softmax over one number is always 1.
        proto.graph.node.append(BadInputTests.node("Softmax", ["z"], "y"))
        proto.graph.output[0].name = "y"
        let error = #expect(throws: ONNXError.self) { try ONNXImport(proto.opened(), options: .init(name: "net")) }
        #expect(error?.description.contains("softmax over one number") == true, "\(String(describing: error))")
    }

    @Test("Where nothing but its size tells the order of a flattened image, --input does")
    func orderOfAFlattenedImage() throws {
        var proto = try #require(Golden.named("channels-last-dense")).proto()
        func shape(_ dimensions: [Int64], _ given: FeatureMapShape? = nil) throws -> FeatureMapShape {
            for (index, dimension) in dimensions.enumerated() {
                proto.graph.input[0].type.tensorType.shape.dim[index + 1].dimValue = dimension
            }
            var options = ONNXImport.Options(name: "net")
            options.input = given
            return try ONNXImport(proto.opened(), options: options).network.input
        }
        let image = FeatureMapShape(height: 6, width: 7, channels: 3)
        #expect(try shape([6, 7, 3]) == image && shape([3, 6, 7]) == image)
        #expect(try shape([6, 7, 3], image) == image && shape([3, 6, 7], image) == image)
        // 3 at both ends: channels first, unless it is told.
        #expect(try shape([3, 14, 3]) == FeatureMapShape(height: 14, width: 3, channels: 3))
        let other = FeatureMapShape(height: 3, width: 14, channels: 3)
        #expect(try shape([3, 14, 3], other) == other)
        #expect(try shape([2, 21, 3], .init(height: 21, width: 3, channels: 2)).channels == 2)
        #expect(throws: ONNXError.self) { try shape([6, 7, 3], .init(height: 7, width: 6, channels: 3)) }
        // Sizes that are not fixed: what they are called, and otherwise a guess, which is told.
        var options = ONNXImport.Options(name: "net")
        options.input = image
        for (names, isAssumed) in [(["a", "b", "d"], true), (["height", "width", "channels"], false)] {
            for (index, name) in names.enumerated() {
                proto.graph.input[0].type.tensorType.shape.dim[index + 1].dimParam = name
            }
            #expect(try ONNXImport(proto.opened(), options: options).isOrderAssumed == isAssumed, "\(names)")
        }
    }

    @Test func layersAreTheGraphs() throws {
        let network = try #require(Golden.named("lenet")).imported().network
        #expect(
            network.layers == [
                .convolution(outputs: 3, kernel: 5, padding: 2), .relu, .maxPool(size: 2, stride: 2),
                .convolution(outputs: 5, kernel: 5), .relu, .maxPool(size: 2, stride: 2),
                .fullyConnected(outputs: 12), .relu,
            ])
        #expect(network.classes == 10 && network.name == "lenet" && network.merge == .concat)

        let kinds = try #require(Golden.named("cifarnet")).imported().network.layers
        #expect(
            kinds == [
                .convolution(outputs: 6, kernel: 5), .relu, .maxPool(size: 3, stride: 2, padding: 1),
                .localResponseNormalization(size: 5, alpha: 1e-2, beta: 0.75, k: 2),
                .convolution(outputs: 8, kernel: 5, hasBias: false), .batchNormalization(epsilon: 1e-3), .relu,
                .averagePool(size: 2, stride: 2), .fullyConnected(outputs: 16), .relu, .dropout(rate: 0.4),
            ])

        let mobilenet = try #require(Golden.named("mobilenet")).imported().network.layers
        #expect(mobilenet.contains(.depthwiseConvolution(kernel: 3, stride: 2, padding: 1)))
        #expect(mobilenet.contains(.convolution(outputs: 16, kernel: 1, groups: 4)))
        #expect(mobilenet.contains(.relu6) && mobilenet.contains(.globalAveragePool))
    }

    @Test func aResidualNetworkSplits() throws {
        let network = try #require(Golden.named("resnet")).imported().network
        #expect(network.layers.count { if case .add = $0 { true } else { false } } == 8)
        let split = try network.split(into: 2)
        #expect(split.branches.count == 2)
        #expect(try split.parameterCount() < network.split(into: 1).parameterCount())
        #expect(try NetworkCost(split, original: network).methods.count > 1)
    }

    @Test func aPathFromTheInputHasALayerToName() throws {
        let layers = try #require(Golden.named("inception")).imported().network.layers
        #expect(layers.first == .dropout(rate: 0))
        #expect(layers.contains(.output(of: 0)))
    }

    @Test func pixelsAreNormalisedAsToldOrAsTheGraphDoes() throws {
        let lenet = try ONNXModel(path: #require(Golden.named("lenet")).path)
        var options = ONNXImport.Options(name: "net")
        let untold = try ONNXImport(lenet, options: options)
        #expect(untold.preprocessing == .init(mean: [0], standardDeviation: [1]) && untold.pixelsFrom == .assumed)
        (options.mean, options.standardDeviation) = ([0.1307], [0.3081])
        #expect(
            try ONNXImport(lenet, options: options).preprocessing == .init(mean: [0.1307], standardDeviation: [0.3081]))
        #expect(try ONNXImport(lenet, options: options).pixelsFrom == .options)
        (options.scale, options.mean, options.standardDeviation) = (1, [127.5], [127.5])
        #expect(try ONNXImport(lenet, options: options).preprocessing == .init(mean: [0.5], standardDeviation: [0.5]))
        options.mean = [1, 2, 3]
        #expect(throws: ONNXError.self) { try ONNXImport(lenet, options: options) }
        (options.scale, options.mean) = (-1, nil)
        #expect(throws: ONNXError.self) { try ONNXImport(lenet, options: options) }

        // A graph that subtracts 127 takes them so, too.
        var centred = try #require(Golden.named("lenet")).proto()
        let input = centred.graph.input[0].name
        centred.graph.initializer.append(BadInputTests.constant("mean", 1, [0, 0, 0xFE, 0x42]))
        for index in centred.graph.node.indices {
            centred.graph.node[index].input = centred.graph.node[index].input.map { $0 == input ? "centred" : $0 }
        }
        centred.graph.node.insert(BadInputTests.node("Sub", [input, "mean"], "centred"), at: 0)
        let subtracted = try ONNXImport(centred.opened(), options: .init(name: "net")).preprocessing
        #expect(abs(subtracted.mean[0] - 127 / 255) < 1e-6 && abs(subtracted.standardDeviation[0] - 1 / 255) < 1e-6)

        // The graph divides by about 58, so it takes pixels as they are.
        let divided = try #require(Golden.named("pixels")).imported()
        let pixels = divided.preprocessing
        #expect(divided.pixelsFrom == .file)
        #expect(largestDifference(pixels.mean, [123.7 / 255, 116.3 / 255, 103.5 / 255]) < 1e-6)
        #expect(largestDifference(pixels.standardDeviation, [58.4 / 255, 57.1 / 255, 57.4 / 255]) < 1e-6)
    }

    @Test func anOpenSizeIsAskedForAndAFixedOneKept() throws {
        var proto = try #require(Golden.named("mobilenet")).proto()
        var options = ONNXImport.Options(name: "net")
        options.input = FeatureMapShape(height: 48, width: 48, channels: 3)
        #expect(throws: ONNXError.self) { try ONNXImport(proto.opened(), options: options) }
        for index in 2...3 { proto.graph.input[0].type.tensorType.shape.dim[index].dimParam = "size" }
        #expect(try ONNXImport(proto.opened(), options: options).network.input == options.input)
        options.input = nil
        let error = #expect(throws: ONNXError.self) { try ONNXImport(proto.opened(), options: options) }
        #expect(error?.description.contains("--input") == true)
    }

    @Test func theOrderOfNodesIsFound() throws {
        let golden = try #require(Golden.named("resnet"))
        var proto = try golden.proto()
        proto.graph.node.reverse()
        // What the output does not need may be anything.
        var unused = ONNXNodeProto()
        (unused.opType, unused.input, unused.output) = ("NonMaxSuppression", ["image"], ["unused"])
        proto.graph.node.append(unused)
        let imported = try ONNXImport(proto.opened(), options: .init(name: "resnet"))
        try withFolder { folder in
            let ours = try logits(imported.written(to: folder))
            #expect(largestDifference(ours, golden.content.logits) < 1e-4)
        }
    }

    @Test func oneOfSeveralOutputsIsChosen() throws {
        var proto = try #require(Golden.named("lenet")).proto()
        var second = proto.graph.output[0]
        second.name = proto.graph.node[0].output[0]
        proto.graph.output.append(second)
        var options = ONNXImport.Options(name: "lenet")
        #expect(throws: ONNXError.self) { try ONNXImport(proto.opened(), options: options) }
        options.output = "scores"
        #expect(try ONNXImport(proto.opened(), options: options).network.classes == 10)
        options.output = "other"
        #expect(throws: ONNXError.self) { try ONNXImport(proto.opened(), options: options) }
    }

    @Test func aBundleIsWrittenAsOneAndReplacedWhole() throws {
        try withFolder { folder in
            let bundle = try #require(Golden.named("lenet")).imported().written(to: folder)
            #expect(bundle.manifest.labels.count == 10 && bundle.network.branches.count == 1)
            #expect(bundle.manifest.training?.importedFrom?.hasPrefix("net.onnx (pytorch") == true)
            let other = try #require(Golden.named("cifarnet")).imported().written(to: folder)
            #expect(other.network.input.channels == 3)
            let names = try FileIO.list(folder)
            #expect(names == ["bundle"])
            #expect(try other.parameters().branches[0].count == 11)
        }
    }
}
