import Foundation
import LCPInference
import LCPModels
import LCPWire
import Platform
import Tensors
import Testing

@testable import LCPPipeline

/// A model whose numbers a test can check by hand: two branches that send three features each, classes of two.
enum TestModel {
    static let missingScale: [Float] = [1, 3]

    static func bundle(
        _ folder: String, missingScale: [Float]? = Self.missingScale, classes: Int = 8
    ) throws -> ModelBundle {
        let layers: [Layer] = [.fullyConnected(outputs: 3), .relu]
        let network = BranchedNetwork(
            base: "test", input: .init(height: 2, width: 2, channels: 1), branches: [layers, layers], classes: classes,
            merge: .concat)
        var random = SeededGenerator(seed: 3)
        return try ModelBundle.write(
            name: "test", network: network, parameters: try .random(for: network, using: &random),
            preprocessing: .init(mean: [0], standardDeviation: [1]), labels: (0..<classes).map { "class \($0)" },
            missingScale: missingScale, to: folder)
    }

    static func with<Result>(
        missingScale: [Float]? = Self.missingScale, classes: Int = 8, _ body: (ModelBundle) throws -> Result
    ) throws -> Result {
        let folder = NSTemporaryDirectory() + "lcp-model-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        return try body(try bundle(folder, missingScale: missingScale, classes: classes))
    }
}

@Suite struct FeaturesReaderTests {
    /// What a message says; a case changes one thing.
    struct Message {
        var topic = "lcp/kitchen/features/1/cam"
        var kind = TensorMessageHeader.Kind.features
        var dtype = DType.fp32
        var shape: Shape = [3]
        var branch: UInt16 = 1
        var branchCount: UInt16 = 2
        var model: ModelHash?
        var values: [Float] = [1, 2, 3]
        var isRetained = false
        var size: Int?
        var version2: TensorMessageHeader.Extension?
        /// In place of the values.
        var data: [UInt8]?
        /// What is read of it.
        var expected: [Float]?
    }

    /// The name of the counter of what is refused; nil for what is read.
    static func reason(_ change: (inout Message) -> Void) throws -> String? {
        try TestModel.with { bundle in
            let model = try JoinedModel(bundle)
            var message = Message()
            change(&message)
            let data =
                message.data ?? (message.dtype == .fp32 ? message.values.withUnsafeBytes { Array($0) } : [1, 2, 3])
            var bytes = TensorMessage.encode(
                .init(
                    kind: message.kind, dtype: message.dtype, shape: message.shape, session: 1, frame: 2,
                    branch: message.branch, branchCount: message.branchCount, model: message.model ?? bundle.hash,
                    version2: message.version2), data: data)
            if let size = message.size { bytes = Array(bytes.prefix(size)) }
            var reader = FeaturesReader(topics: try Topics(pipeline: "kitchen"))
            return bytes.withUnsafeBytes { bytes in
                do throws(FeaturesReader.Refusal) {
                    let features = try reader.read(
                        message.topic, bytes, isRetained: message.isRetained, models: [model])
                    let isRight = features.sensor == "cam" && features.branch == 1 && features.header.frame == 2
                    let expected = message.expected ?? message.values
                    #expect(isRight && Array(features.values) == expected.withUnsafeBytes { Array($0) })
                    return nil
                } catch {
                    #expect(error.description.contains(message.topic))
                    return error.reason
                }
            }
        }
    }

    @Test("Features that fit the model are read")
    func good() throws { #expect(try Self.reason { _ in } == nil) }

    @Test("Features that a broker retained are not joined")
    func retained() throws { #expect(try Self.reason { $0.isRetained = true } == "retained") }

    @Test("Infinity and not-a-number are not joined", arguments: [Float.infinity, -.infinity, .nan])
    func notFinite(value: Float) throws {
        for place in 0..<3 { #expect(try Self.reason { $0.values[place] = value } == "not_finite") }
    }

    @Test("Another topic is refused", arguments: ["lcp/kitchen/features/x/cam", "lcp/other/features/1/cam", "a"])
    func topics(topic: String) throws { #expect(try Self.reason { $0.topic = topic } == "bad_topic") }

    @Test("What is no tensor message is refused by what is wrong with it")
    func damage() throws { #expect(try Self.reason { $0.size = 100 } == "too_short") }

    @Test("Features of a model that is not joined are refused")
    func model() throws { #expect(try Self.reason { $0.model = ModelHash([UInt8](0..<16)) } == "other_model") }

    @Test("A branch that the topic or the model contradicts is refused")
    func branches() throws {
        #expect(try Self.reason { $0.branch = 0 } == "bad_branch")
        #expect(try Self.reason { $0.branchCount = 3 } == "bad_branch")
        #expect(
            try Self.reason {
                $0.branch = 2
                $0.branchCount = 3
                $0.topic = "lcp/kitchen/features/2/cam"
            } == "bad_branch")
    }

    @Test("Features of FP16 and INT8 are read as the numbers that they stand for")
    func smallFeatures() throws {
        #expect(
            try Self.reason {
                $0.dtype = .fp16
                $0.version2 = .init()
                $0.data = [0x00, 0x3E, 0x00, 0xB4, 0xFF, 0x7B]
                $0.expected = [1.5, -0.25, 65_504]
            } == nil)
        #expect(
            try Self.reason {
                $0.dtype = .int8
                $0.version2 = .init(scale: 0.5)
                $0.data = [1, 0x81, 127]
                $0.expected = [0.5, -63.5, 63.5]
            } == nil)
    }

    @Test("Features of FP16 that are infinite are not joined, and small ones come in version 2 alone")
    func badSmallFeatures() throws {
        #expect(
            try Self.reason {
                $0.dtype = .fp16
                $0.version2 = .init()
                $0.data = [0, 0, 0x00, 0x7C, 0, 0]
            } == "not_finite")
        #expect(
            try Self.reason {
                $0.dtype = .fp16
                $0.data = [0, 0, 0, 0, 0, 0]
            } == "wrong_shape")
        #expect(
            try Self.reason {
                $0.dtype = .int8
                $0.version2 = .init(scale: 3e38)
                $0.data = [0, 2, 0]
            } == "not_finite")
    }

    @Test("Endless topics are not all remembered")
    func endlessTopics() throws {
        var reader = FeaturesReader(topics: try Topics(pipeline: "kitchen"))
        for number in 0..<5000 {
            let topic = "lcp/kitchen/features/0/cam-\(number)"
            #expect(throws: FeaturesReader.Refusal.self) {
                try reader.read(topic, UnsafeRawBufferPointer(start: nil, count: 0), isRetained: false, models: [])
            }
        }
        #expect(try entryCount("sources", of: reader) <= 4096)
    }

    @Test("Another kind, type or number of values is refused")
    func shape() throws {
        #expect(try Self.reason { $0.kind = .partialLogits } == "wrong_shape")
        #expect(try Self.reason { $0.dtype = .uint8 } == "wrong_shape")
        #expect(
            try Self.reason {
                $0.shape = [2]
                $0.values = [1, 2]
            } == "wrong_shape")
    }
}

@Suite struct JoinedModelTests {
    /// The JSON of an answer with the shares of some branches, and what plain arithmetic expects.
    static func prediction(
        received: [Int], missingScale: [Float]? = TestModel.missingScale, latency: Int64? = nil
    ) throws -> (found: [Double], expected: [Double], read: Prediction) {
        try TestModel.with(missingScale: missingScale) { bundle in
            let model = try JoinedModel(bundle)
            let merge = try bundle.mergeParameters()
            let features: [[Float]] = [[1, -2, 3], [0.5, 4, -1]]
            var joiner = FrameJoiner(order: .none, deadline: .seconds(1), now: JoinerBench.start)
            _ = joiner.add(model.model, branches: .init(count: 2), classes: 8, now: JoinerBench.start)
            var actions: [FrameJoiner.Action] = []
            for branch in received {
                actions += joiner.receive(
                    .init(key: FrameKey(sensor: "cam", session: 1, frame: 1), model: model.model, branch: branch),
                    now: JoinerBench.start
                ) { share in
                    features[branch].withUnsafeBytes { model.join.share(of: branch, $0, into: share) }
                }
            }
            actions += joiner.finish(now: JoinerBench.start)
            guard case .answer(let answer)? = actions.last else { throw CancellationError() }
            let json = model.withPrediction(of: answer, now: JoinerBench.start, latency: latency, time: 0) { Array($0) }
            // Row by row: W · features · factor + b, and the softmax of that.
            let factor = Double(missingScale?[2 - received.count] ?? 1)
            let weight = merge.weight
            let logits = (0..<8).map { row -> Double in
                var sum = 0.0
                for branch in received {
                    for index in 0..<3 {
                        sum += Double(weight[row * 6 + branch * 3 + index]) * Double(features[branch][index])
                    }
                }
                return factor * sum + Double(merge.bias[row])
            }
            let powers: [Double] = logits.map { exp($0) }
            let total = powers.reduce(0, +)
            let read = try #require(Prediction(json))
            return (try #require(read.probabilities), powers.map { $0 / total }, read)
        }
    }

    @Test(
        "A branch with more features than there are classes sends its share of the logits", arguments: [(8, 3), (2, 2)])
    func outputs(classes: Int, count: Int) throws {
        let outputs = try TestModel.with(missingScale: nil, classes: classes) { try JoinedModel($0).outputs }
        let kind: TensorMessageHeader.Kind = classes < 3 ? .partialLogits : .features
        #expect(outputs.map(\.kind) == [kind, kind] && outputs.map(\.count) == [count, count])
    }

    @Test("With all branches the probabilities are those of the network")
    func complete() throws {
        let (found, expected, read) = try Self.prediction(received: [1, 0])
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 2e-6 })
        #expect(read.missing == [] && read.branches == [0, 1])
    }

    @Test("With a branch missing, the sum is raised by the model's missing_scale", arguments: [0, 1])
    func missing(branch: Int) throws {
        let (found, expected, read) = try Self.prediction(received: [branch])
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 2e-6 })
        #expect(read.missing == [1 - branch])
        // The factor shows.
        let (plain, _, _) = try Self.prediction(received: [branch], missingScale: nil)
        #expect(zip(found, plain).contains { abs($0 - $1) > 1e-3 })
    }

    @Test("A prediction tells its latency where it is known")
    func latency() throws {
        #expect(try Self.prediction(received: [0], latency: 1_500_000).read.latencyMilliseconds == 1.5)
        #expect(try Self.prediction(received: [0]).read.latencyMilliseconds == nil)
    }

    @Test("The latency is known where the capture time is told and plausible")
    func plausibleLatency() {
        #expect(FrameLatency.since(100, now: 350) == 250)
        #expect(FrameLatency.since(350, now: 350) == 0)
        for (capture, now) in [
            (0, 350), (-5, 350), (351, 350), (1, 2 + FrameLatency.longest), (Int64.max, Int64.min), (.min, .max),
        ] as [(Int64, Int64)] {
            #expect(FrameLatency.since(capture, now: now) == nil)
        }
    }
}
