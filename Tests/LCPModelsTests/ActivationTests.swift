import Foundation
import LCPModels
import Platform
import Testing

@Suite("Activations, and products with other layers") struct ActivationTests {
    static let layers: [Layer] = [
        .activation(.sigmoid), .activation(.tanh), .activation(.silu), .activation(.hardSigmoid(alpha: 0.2, beta: 0.4)),
        .activation(.hardSwish), .activation(.leakyReLU(slope: 0.1)), .activation(.elu(alpha: 0.7)), .activation(.gelu),
        .activation(.geluTanh), .prelu, .channelNormalization(epsilon: 1e-6), .multiply(3),
        .slice(first: 2, count: 3, of: 6), .shuffle(groups: 3),
        .convolution(
            outputs: 4,
            window: Window(height: 3, width: 2, strideDown: 2, strideAcross: 1, top: 1, bottom: 0, left: 0, right: 1)),
        .depthwiseConvolution(window: Window(height: 3, width: 3, dilationDown: 2, dilationAcross: 1), hasBias: false),
        .maxPool(window: Window(height: 2, width: 2, strideDown: 2, strideAcross: 2, roundsUp: true)),
        .averagePool(window: Window(size: 3, stride: 1, padding: 1), countsPadding: true),
    ]

    @Test("Are read from JSON as they were written", arguments: layers)
    func codable(layer: Layer) throws {
        #expect(try JSONDecoder().decode(Layer.self, from: JSONEncoder().encode(layer)) == layer)
    }

    @Test("Have the values that are known of them")
    func values() {
        #expect(Activation.sigmoid(0) == 0.5 && Activation.tanh(0) == 0 && Activation.silu(0) == 0)
        #expect(
            abs(Activation.gelu(1) - 0.841_344_746_1) < 1e-9 && abs(Activation.geluTanh(1) - 0.841_191_990_6) < 1e-9)
        #expect(Activation.hardSwish(3) == 3 && Activation.hardSwish(-3) == 0 && Activation.hardSwish(1) == 2.0 / 3)
        #expect(Activation.elu(alpha: 2)(-1) == 2 * (exp(-1.0) - 1) && Activation.leakyReLU(slope: 0.5)(-4) == -2)
        #expect(Activation.hardSigmoid(alpha: 0.5, beta: 0.5)(0.5) == 0.75)
    }

    @Test("Cost no multiplications and, but for a slope for each channel of a PReLU, no parameters")
    func cost() throws {
        let shape = FeatureMapShape(height: 4, width: 5, channels: 6)
        for layer in Self.layers.prefix(11) {
            #expect(try layer.macs(input: shape) == 0)
            let isNormalization = layer == .channelNormalization(epsilon: 1e-6)
            #expect(layer.parameterCount(input: shape) == (layer == .prelu ? 6 : isNormalization ? 12 : 0))
            #expect(try layer.output(of: shape) == shape)
        }
    }

    @Test("A slice of a narrower branch is the same part of its channels, and a shuffle takes them from group to group")
    func picked() throws {
        let slice = Layer.slice(first: 12, count: 12, of: 24)
        #expect(
            slice.picked(of: 24) == Array(12..<24) && slice.picked(of: 6) == [3, 4, 5] && slice.picked(of: 5) == [3, 4])
        #expect(Layer.slice(first: 0, count: 12, of: 24).picked(of: 5) == [0, 1, 2])
        #expect(Layer.shuffle(groups: 2).picked(of: 6) == [0, 3, 1, 4, 2, 5])
        let shape = FeatureMapShape(height: 1, width: 1, channels: 6)
        for layer in [
            Layer.slice(first: 3, count: 4, of: 6), .slice(first: -1, count: 2, of: 6),
            .slice(first: 0, count: 0, of: 6),
            .slice(first: .max, count: .max, of: .max), .shuffle(groups: 4), .shuffle(groups: 0),
        ] {
            #expect(throws: NetworkError.self) { try layer.output(of: shape) }
        }
    }

    @Test("Windows have as many places as PyTorch gives them, and impossible ones none")
    func windows() throws {
        func size(_ window: Window, _ height: Int = 7, _ width: Int = 8) throws -> [Int] {
            let shape = try Layer.maxPool(window: window).output(of: .init(height: height, width: width, channels: 1))
            return [shape.height, shape.width]
        }
        var window = Window(size: 2, stride: 2)
        #expect(try size(window) == [3, 4])
        window.roundsUp = true
        #expect(try size(window) == [4, 4])
        // A window that would begin in the padding is none.
        var padded = Window(size: 2, stride: 3, padding: 1)
        padded.roundsUp = true
        #expect(try size(padded, 6, 6) == [3, 3])
        #expect(try size(padded, 5, 5) == [2, 2])
        #expect(try size(Window(height: 3, width: 2, dilationDown: 3, dilationAcross: 2)) == [1, 6])
        for wrong in [
            Window(height: 0, width: 1), Window(height: 1, width: 1, strideDown: 0), Window(height: 9, width: 1),
            Window(height: 2, width: 2, top: -1), Window(height: 2, width: 2, dilationDown: 0),
            Window(height: .max, width: 1),
        ] {
            #expect(throws: NetworkError.self) { try size(wrong) }
        }
    }

    @Test("A product needs as many channels, and on both sides the same size or one pixel")
    func product() throws {
        let (map, gate) = (FeatureMapShape(height: 4, width: 5, channels: 6), FeatureMapShape(features: 6))
        for (own, other, result) in [(map, map, map), (map, gate, map), (gate, map, map), (gate, gate, gate)] {
            #expect(try Layer.multiply(0).output(of: own, referenced: [other]) == result)
        }
        for other in [
            FeatureMapShape(features: 5), .init(height: 4, width: 1, channels: 6),
            .init(height: 4, width: 5, channels: 1),
        ] {
            #expect(throws: NetworkError.self) { try Layer.multiply(0).output(of: map, referenced: [other]) }
        }
        #expect(throws: NetworkError.self) {
            try Layer.activation(.leakyReLU(slope: .infinity)).output(of: map)
        }
    }

    @Test("A bundle with one has a format that programs before it refuse, and none of them is in a lower one")
    func format() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let network = try Network(
            name: "test", input: .init(height: 4, width: 4, channels: 1),
            layers: [.convolution(outputs: 2, kernel: 3), .activation(.silu), .prelu], classes: 2, merge: .concat
        ).split(into: 1)
        var random = SeededGenerator(seed: 1)
        let parameters = try ModelParameters.random(for: network, using: &random)
        #expect(parameters.branches[0][2]?.weight == [0.25, 0.25] && parameters.branches[0][2]?.bias == [])
        let bundle = try ModelBundle.write(
            name: "test", network: network, parameters: parameters,
            preprocessing: .init(mean: [0], standardDeviation: [1]),
            labels: ["a", "b"], to: folder)
        #expect(try bundle.manifest.format == 5 && bundle.parameters() == parameters)
        let file = "\(folder)/model.json"
        let text = try String(contentsOfFile: file, encoding: .utf8)
        try text.replacingOccurrences(of: "\"format\" : 5", with: "\"format\" : 4").write(
            toFile: file, atomically: true, encoding: .utf8)
        let error = #expect(throws: ModelBundleError.self) { try ModelBundle(path: folder) }
        #expect(error?.description.contains("layers that came later") == true)
    }
}
