import Foundation
import LCPInference
import LCPModels
import Platform
import Tensors
import Testing

@testable import LCPCompression

@Suite("Quantising a model") struct QuantizerTests {
    /// A folder that is gone when the test is.
    private final class Folder {
        let path = NSTemporaryDirectory() + "lcp-test-\(UUID().uuidString)"
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    /// Pictures of noise.
    private static func pixels(_ input: FeatureMapShape, count: Int, seed: UInt64 = 5) -> [UInt8] {
        var random = SeededGenerator(seed: seed)
        return (0..<count * input.elementCount).map { _ in UInt8(random.index(256)) }
    }

    /// CifarNet in two branches, which has response normalisations and shares of the logits.
    private static func quantized(_ path: String) throws -> (bundle: ModelBundle, branches: [IntegerBranch]) {
        let network = try Network.cifarnet.split(into: 2)
        var random = SeededGenerator(seed: 3)
        let parameters = try ModelParameters.random(for: network, using: &random)
        let preprocessing = ModelManifest.Preprocessing.usual(for: network.input)
        let quantizer = try Quantizer(network: network, parameters: parameters, preprocessing: preprocessing)
        let branches = try network.branches.indices.map {
            try quantizer.branch($0, pixels: pixels(network.input, count: 2))
        }
        let bundle = try ModelBundle.write(
            name: "test-int8", network: quantizer.network, integers: branches, merge: parameters.merge,
            preprocessing: preprocessing, labels: (0..<10).map(String.init), to: path)
        return (bundle, branches)
    }

    @Test("A bundle that is removed, or half written, takes nothing else in its folder with it") func removed() throws {
        let folder = Folder()
        _ = try Self.quantized(folder.path)
        let note = "\(folder.path)/notes.txt"
        try FileIO.write(Array("mine".utf8), to: note)
        try FileIO.write([], to: "\(folder.path)/branch-x.safetensors")
        ModelBundle.removeFiles(at: folder.path)
        #expect(try FileIO.list(folder.path) == ["branch-x.safetensors", "notes.txt"])
        #expect(throws: ModelBundleError.self) { try ModelBundle.prepareFolder(folder.path) }
        FileIO.remove(note)
        FileIO.remove("\(folder.path)/branch-x.safetensors")
        // What a writer that was killed has left is no obstacle.
        for name in ["branch-0.safetensors", "merge.safetensors.77.part"] {
            try FileIO.write([1], to: "\(folder.path)/\(name)")
        }
        #expect(try ModelBundle.prepareFolder(folder.path) != nil)
        _ = try Self.quantized(folder.path)
        _ = try ModelBundle(path: folder.path).integerBranch(0)
    }

    @Test("What is written is read, in a format that programs before it refuse") func roundTrip() throws {
        let folder = Folder()
        let (written, branches) = try Self.quantized(folder.path)
        let read = try ModelBundle(path: folder.path)
        #expect(read.hash == written.hash && read.manifest == written.manifest)
        #expect(read.manifest.format == 3 && read.manifest.arithmetic == .int8)
        for (index, branch) in branches.enumerated() {
            #expect(try read.integerBranch(index) == branch)
            #expect(branch.head != nil && branch.tables.count == 2)
            // The weights in single precision are as near as eight bits are.
            for (weights, real) in zip(branch.layers, try read.branchParameters(index)) {
                guard let weights, let real else { continue }
                let length = weights.weight.count / weights.scale.count
                #expect(
                    real.weight.indices.allSatisfy {
                        real.weight[$0] == Float(weights.weight[$0]) * weights.scale[$0 / length]
                    })
            }
        }
        _ = try BranchEngine(bundle: read, branch: 1)
        #expect(throws: ModelBundleError.self) { try read.integerBranch(2) }
    }

    @Test(
        "Numbers in a file that no branch can have are told in a sentence",
        arguments: [
            ("values.scale", [Float(0)], "no normal number above 0"),
            ("values.scale", [Float.infinity], "no normal number above 0"),
            ("values.scale", [Float.nan], "no normal number above 0"),
            ("values.scale", [Float(-1)], "no normal number above 0"),
            ("layers.0.weight_scale", [Float(0)], "no normal number above 0"),
            ("layers.0.weight_scale", [Float.leastNonzeroMagnitude], "no normal number above 0"),
            ("head.weight_scale", [Float.infinity], "no normal number above 0"),
        ])
    func scales(name: String, numbers: [Float], words: String) throws {
        try Self.refuses(name, numbers.withUnsafeBytes { Array($0) }, words)
    }

    @Test(
        "Weights, biases and shifts outside their limits are told in a sentence",
        arguments: [
            ("layers.0.weight", [Int32(0x80)], 1, "none is below -127"),
            ("layers.0.bias", [Int32.max], 4, "sums of more than 30 bits"),
            ("layers.0.bias", [Int32.min], 4, "sums of more than 30 bits"),
            ("layers.3.shift", [Int32(0)], 4, "not from 1 to 30"),
            ("layers.3.shift", [Int32(31)], 4, "not from 1 to 30"),
            ("layers.3.factors", [Int32(0xFFFF)], 2, "factors below 0"),
        ])
    func limits(name: String, numbers: [Int32], size: Int, words: String) throws {
        try Self.refuses(name, Array(numbers.withUnsafeBytes { Array($0) }.prefix(size)), words)
    }

    @Test("A tensor too few, too many or of another kind is told in a sentence") func tensors() throws {
        try Self.refuses(words: "it lacks the tensor values.zero") { $0["values.zero"] = nil }
        try Self.refuses(words: "which the model does not have") { $0["more"] = $0["values.zero"] }
        try Self.refuses(words: "the model needs INT8") { $0["values.zero"] = $0["values.scale"] }
        try Self.refuses(words: "it lacks the tensor head.weight") { $0["head.weight"] = nil }
    }

    @Test("Weights in eight bits under a format that has none are refused") func oldFormat() throws {
        let folder = Folder()
        _ = try Self.quantized(folder.path)
        let manifest = "\(folder.path)/model.json"
        let text = String(decoding: try FileIO.read(manifest), as: UTF8.self)
        try FileIO.write(
            Array(text.replacingOccurrences(of: "\"format\" : 3", with: "\"format\" : 1").utf8), to: manifest)
        let error = #expect(throws: ModelBundleError.self) { try ModelBundle(path: folder.path) }
        #expect(error?.description.contains("eight bits and the format 1") == true, "\(error?.description ?? "")")
    }

    /// Puts bytes in the place of a tensor's first.
    private static func refuses(_ name: String, _ bytes: [UInt8], _ words: String) throws {
        try refuses(words: words) { tensors in
            let tensor = try #require(tensors[name])
            var changed = tensor.bytes
            changed.replaceSubrange(0..<bytes.count, with: bytes)
            tensors[name] = try Tensor(dtype: tensor.dtype, shape: tensor.shape, bytes: changed)
        }
    }

    private static func refuses(words: String, _ change: (inout [String: Tensor]) throws -> Void) throws {
        let folder = Folder()
        _ = try quantized(folder.path)
        let (file, manifest) = ("\(folder.path)/branch-0.safetensors", "\(folder.path)/model.json")
        let before = try FileIO.read(file)
        var content = try Safetensors(decoding: before)
        try change(&content.tensors)
        try FileIO.write(content.encoded(), to: file)
        let text = String(decoding: try FileIO.read(manifest), as: UTF8.self)
            .replacingOccurrences(of: SHA256.hex(before), with: SHA256.hex(content.encoded()))
        try FileIO.write(Array(text.utf8), to: manifest)
        let bundle = try ModelBundle(path: folder.path)
        let error = #expect(throws: ModelBundleError.self) { try bundle.integerBranch(0) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test("Scales that do not fit each other are told when a branch is prepared, and never trap") func unfitting()
        throws
    {
        let folder = Folder()
        let (bundle, branches) = try Self.quantized(folder.path)
        for value in branches[0].values.indices {
            for scale in [Float.leastNormalMagnitude, 1e-30, 1e30, .greatestFiniteMagnitude] {
                var branch = branches[0]
                branch.values[value].scale = scale
                do {
                    let engine = try BranchEngine(
                        network: bundle.network, branch: 0, integers: branch,
                        preprocessing: bundle.manifest.preprocessing)
                    let pixels = Self.pixels(bundle.network.input, count: 1)
                    try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
                } catch let error as InferenceError {
                    #expect(error.description.contains("scale"), "\(error)")
                }
            }
        }
    }

    @Test("A layer that makes nothing but zeros is named") func zeros() throws {
        let network = BranchedNetwork(
            base: "t", input: FeatureMapShape(height: 4, width: 4, channels: 1),
            branches: [[.convolution(outputs: 2, kernel: 3), .relu, .fullyConnected(outputs: 3)]], classes: 10,
            merge: .concat)
        var random = SeededGenerator(seed: 1)
        var parameters = try ModelParameters.random(for: network, using: &random)
        parameters.branches[0][0] = LayerParameters(
            weight: Array(repeating: -1, count: 18), bias: Array(repeating: -1, count: 2))
        let quantizer = try Quantizer(
            network: network, parameters: parameters, preprocessing: .init(mean: [0], standardDeviation: [1]))
        let error = #expect(throws: NetworkError.self) {
            try quantizer.branch(0, pixels: Self.pixels(network.input, count: 2))
        }
        #expect(error?.description.contains("layer 0 of branch 0") == true)
    }

    @Test(
        "A layer without arithmetic in eight bits is refused",
        arguments: [
            Layer.softmax, .localResponseNormalization(size: 129, alpha: 1, beta: 0.75, k: 1),
        ])
    func without(layer: Layer) throws {
        let network = BranchedNetwork(
            base: "t", input: FeatureMapShape(height: 1, width: 1, channels: 4),
            branches: [[.fullyConnected(outputs: 3), layer]], classes: 10, merge: .concat)
        var random = SeededGenerator(seed: 1)
        let parameters = try ModelParameters.random(for: network, using: &random)
        let preprocessing = ModelManifest.Preprocessing(mean: [0, 0, 0, 0], standardDeviation: [1, 1, 1, 1])
        #expect(throws: NetworkError.self) {
            try Quantizer(network: network, parameters: parameters, preprocessing: preprocessing)
        }
        // A file may have it all the same.
        let branch = IntegerBranch(
            layers: [
                IntegerWeights(weight: [Int8](repeating: 1, count: 12), scale: [1, 1, 1], bias: [0, 0, 0]), nil,
            ],
            values: [Quantization](repeating: Quantization(scale: 1, zero: 0), count: 3),
            tables: [1: ResponseTable(factors: [Int16](repeating: 9, count: ResponseTable.count), shift: 9)], head: nil)
        let error = #expect(throws: InferenceError.self) {
            try BranchEngine(network: network, branch: 0, integers: branch, preprocessing: preprocessing)
        }
        #expect(error?.description.contains("no arithmetic in eight bits") == true)
    }

    @Test("Functions, gates and picked channels come near single precision in eight bits, and survive the file")
    func gates() throws {
        let network = try Network(
            name: "gated", input: FeatureMapShape(height: 12, width: 12, channels: 3),
            layers: [
                .convolution(outputs: 16, kernel: 3, padding: 1), .batchNormalization(), .activation(.hardSwish),
                .globalAveragePool, .convolution(outputs: 16, kernel: 1), .activation(.sigmoid), .multiply(2),
                .slice(first: 4, count: 12, of: 16), .shuffle(groups: 3), .convolution(outputs: 8, kernel: 3),
                .activation(.gelu), .globalAveragePool,
            ], classes: 5, merge: .concat
        ).split(into: 1)
        var random = SeededGenerator(seed: 3)
        let parameters = try ModelParameters.random(for: network, using: &random)
        let preprocessing = ModelManifest.Preprocessing.usual(for: network.input)
        let quantizer = try Quantizer(network: network, parameters: parameters, preprocessing: preprocessing)
        let pixels = Self.pixels(network.input, count: 40)
        let integers = try quantizer.branch(0, pixels: pixels)
        let folder = Folder()
        let bundle = try ModelBundle.write(
            name: "gated", network: quantizer.network, integers: [integers], merge: parameters.merge,
            preprocessing: preprocessing, labels: (0..<5).map { "\($0)" }, to: folder.path)
        #expect(try bundle.integerBranch(0) == integers && bundle.manifest.format == 5)
        let single = try BranchEngine(network, of: parameters)
        let eight = try BranchEngine(bundle: bundle, branch: 0)
        var (distance, size): (Float, Float) = (0, 0)
        for picture in 0..<40 {
            let count = network.input.elementCount
            try pixels[picture * count..<(picture + 1) * count].withUnsafeBytes {
                try single.run(pixels: $0)
                try eight.run(pixels: $0)
            }
            for (one, other) in zip(single.output, eight.output) {
                distance += abs(one - other)
                size += abs(one)
            }
        }
        #expect(distance < 0.05 * size, "\(distance / size)")
    }

    @Test("A scale of the input that no pixel can be divided by is told") func inputScale() throws {
        let folder = Folder()
        let (bundle, branches) = try Self.quantized(folder.path)
        var branch = branches[0]
        branch.values[0].scale = .leastNormalMagnitude
        let error = #expect(throws: InferenceError.self) {
            try BranchEngine(
                network: bundle.network, branch: 0, integers: branch,
                preprocessing: .init(mean: [0.5, 0.5, 0.5], standardDeviation: [0.001, 0.001, 0.001]))
        }
        #expect(error?.description.contains("too small for pixels") == true, "\(error?.description ?? "")")
    }

    @Test("A stopped calibration is a cancellation") func stopped() throws {
        let network = try Network.lenet.split(into: 4)
        var random = SeededGenerator(seed: 1)
        let quantizer = try Quantizer(
            network: network, parameters: .random(for: network, using: &random),
            preprocessing: .usual(for: network.input))
        #expect(throws: CancellationError.self) {
            try quantizer.branch(0, pixels: Self.pixels(network.input, count: 2)) { $0 < 0.5 }
        }
    }
}

@Suite("Scales of values") struct ValueTests {
    @Test("What only picks numbers has the scale of what it reads") func groups() {
        // 0 conv, 1 ReLU, 2 maximum, 3 conv, 4 add 2, 5 ReLU, 6 output of 3, 7 ReLU6, 8 concatenate with 5, 9 dropout
        let groups = ValueGroups([
            .convolution(outputs: 4, kernel: 3, padding: 1), .relu, .maxPool(size: 3, stride: 1, padding: 1),
            .convolution(outputs: 4, kernel: 3, padding: 1), .add(2), .relu, .output(of: 3), .relu6,
            .concatenate([5]), .dropout(rate: 0.5),
        ])
        // Value 4, layer 3's, is read by the addition and by the ReLU6: that has a scale of its own.
        #expect(groups.first == [0, 1, 1, 1, 4, 5, 5, 4, 8, 9, 9])
        #expect(groups.used == [0, 3, 4, 6, 7, 8, 10])
    }

    @Test("What is rarely reached is clamped where the rest gets finer for it") func range() {
        var random = SeededGenerator(seed: 1)
        func range(_ numbers: [Float]) -> ClosedRange<Float> {
            var range = ValueRange()
            numbers.withUnsafeBufferPointer {
                range.reach($0)
                range.count($0)
            }
            return range.best
        }
        let even = (0..<10_000).map { Float($0) / 10_000 }
        #expect(range(even).lowerBound == 0 && range(even).upperBound > 0.97)
        let bell = (0..<100_000).map { _ in random.normal() }
        let best = range(bell + [40])
        #expect(best.upperBound < 36 && best.upperBound > 3 && best.lowerBound < -3)
        #expect(range([0, 0, 0]) == 0...0)
    }
}

@Suite("Batch normalisations in the weights") struct FoldingTests {
    @Test("The network without them computes the same", arguments: ["cifarnet-bn", "resnet18", "mobilenet"])
    func same(name: String) throws {
        let whole = try Network.named(name).with(
            input: FeatureMapShape(height: 32, width: 32, channels: 3), classes: 10, merge: .sum)
        let network = try whole.split(into: 8)
        var random = SeededGenerator(seed: 8)
        var parameters = try ModelParameters.random(for: network, using: &random)
        for (index, layer) in network.branches[0].enumerated() where layer.hasStatistics {
            let count = parameters.branches[0][index]?.weight.count ?? 0
            func numbers(_ low: Float, _ high: Float) -> [Float] { (0..<count).map { _ in random.uniform(low, high) } }
            parameters.branches[0][index] = LayerParameters(
                weight: numbers(0.5, 1.5), bias: numbers(-1, 1), runningMean: numbers(-1, 1),
                runningVariance: numbers(0.5, 2))
        }
        let (folded, branches) = try network.foldingNormalizations(parameters.branches)
        #expect(!folded.branches.joined().contains { $0.hasStatistics })
        #expect(folded.branches[0].count < network.branches[0].count)
        let preprocessing = ModelManifest.Preprocessing.usual(for: network.input)
        let engines = try [(network, parameters.branches[0]), (folded, branches[0])].map {
            try BranchEngine(
                network: $0.0, branch: 0, parameters: $0.1, mergeWeights: nil, preprocessing: preprocessing)
        }
        let pixels = (0..<network.input.elementCount).map { UInt8($0 * 7 % 256) }
        try pixels.withUnsafeBytes { pixels in for engine in engines { try engine.run(pixels: pixels) } }
        let largest = engines[0].output.reduce(0) { max($0, abs($1)) }
        #expect(largest > 0)
        #expect(zip(engines[0].output, engines[1].output).allSatisfy { abs($0 - $1) < 1e-4 * largest })
    }

    @Test("One that others read, or that no weights can take, becomes a layer of its own") func kept() throws {
        let layers: [Layer] = [
            .convolution(outputs: 2, kernel: 1, hasBias: false), .batchNormalization(), .relu, .batchNormalization(),
            .add(0), .output(of: 1),
        ]
        let network = BranchedNetwork(
            base: "t", input: FeatureMapShape(height: 2, width: 2, channels: 2), branches: [layers], classes: 99,
            merge: .concat)
        var random = SeededGenerator(seed: 8)
        let (folded, parameters) = try network.foldingNormalizations(
            ModelParameters.random(for: network, using: &random).branches)
        // The addition reads the convolution before it is normalised, so that neither of both goes.
        #expect(
            folded.branches[0] == [
                .convolution(outputs: 2, kernel: 1), .depthwiseConvolution(kernel: 1), .relu,
                .depthwiseConvolution(kernel: 1), .add(0), .output(of: 1),
            ])
        #expect(parameters[0][0]?.bias == [0, 0])
    }
}
