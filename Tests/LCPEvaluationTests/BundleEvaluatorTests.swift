import LCPInference
import Foundation
import LCPModels
import Platform
import Testing

@testable import LCPEvaluation

@Suite struct BundleEvaluatorTests {
    /// A small model in a folder that is gone when the test is, and images for it.
    final class Model {
        let path = NSTemporaryDirectory() + "lcp-test-\(UUID().uuidString)"
        let bundle: ModelBundle
        let parameters: ModelParameters
        let pixels: [UInt8]
        let labels: [UInt8]
        static let features = 6

        init(_ merge: Merge, branches: Int, classes: Int, images: Int, gain: Float = 1) throws {
            var random = SeededGenerator(seed: 11)
            let network = BranchedNetwork(
                base: "test", input: FeatureMapShape(height: 3, width: 2, channels: 1),
                branches: Array(
                    repeating: [.fullyConnected(outputs: Self.features), .relu], count: branches),
                classes: classes, merge: merge)
            var parameters = try ModelParameters.random(for: network, using: &random)
            parameters.merge.bias = (0..<classes).map { _ in random.uniform(-0.3, 0.3) }
            parameters.merge.weight = parameters.merge.weight.map { $0 * gain }
            self.parameters = parameters
            bundle = try ModelBundle.write(
                name: "test", network: network, parameters: parameters,
                preprocessing: .init(mean: [0.4], standardDeviation: [0.25]),
                labels: (0..<classes).map { "class \($0)" }, to: path)
            pixels = (0..<images * 6).map { _ in UInt8(random.index(256)) }
            labels = (0..<images).map { _ in UInt8(random.index(classes)) }
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        /// The logits straight from the definitions, in double precision.
        func logits(_ image: Int, missing: UInt64) -> [Double] {
            let network = bundle.network
            let input = pixels[image * 6..<(image + 1) * 6].map { (Double($0) / 255 - 0.4) / 0.25 }
            var merged = [Double](
                repeating: 0, count: network.merge == .sum ? Self.features : Self.features * network.branches.count)
            for branch in network.branches.indices where missing & UInt64(1) << UInt64(branch) == 0 {
                let layer = parameters.branches[branch][0]!
                for feature in 0..<Self.features {
                    let sum = input.indices.reduce(Double(layer.bias[feature])) {
                        $0 + Double(layer.weight[feature * 6 + $1]) * input[$1]
                    }
                    merged[(network.merge == .sum ? 0 : branch * Self.features) + feature] += max(0, sum)
                }
            }
            return (0..<network.classes).map { row in
                merged.indices.reduce(Double(parameters.merge.bias[row])) {
                    $0 + Double(parameters.merge.weight[row * merged.count + $1]) * merged[$1]
                }
            }
        }

        /// Accuracy, calibration error, cross-entropy and top-5 with some branches missing.
        func reference(missing: UInt64) -> (accuracy: Double, error: Double, nll: Double, top5: Double) {
            var right = [Double](repeating: 0, count: 15)
            var confidence = right
            var (nll, top5) = (0.0, 0.0)
            for image in labels.indices {
                let logits = logits(image, missing: missing)
                let sum = logits.reduce(0) { $0 + exp($1) }
                let shares = logits.map { exp($0) / sum }
                let order = shares.indices.sorted { shares[$0] > shares[$1] }
                let truth = Int(labels[image])
                let bin = Int((shares[order[0]] * 15).rounded(.up)) - 1
                confidence[bin] += shares[order[0]]
                if order[0] == truth { right[bin] += 1 }
                nll -= log(shares[truth])
                if order.prefix(5).contains(truth) { top5 += 1 }
            }
            let count = Double(labels.count)
            let error = zip(right, confidence).reduce(0) { $0 + abs($1.0 - $1.1) } / count
            return (right.reduce(0, +) / count, error, nll / count, top5 / count)
        }
    }

    /// Four classes are fewer than six features, so partial logits are sent; with nine classes it is features.
    @Test(arguments: [Merge.concat, .sum], [4, 9])
    func theEvaluatorAgreesWithAPlainReference(merge: Merge, classes: Int) throws {
        let model = try Model(merge, branches: 3, classes: classes, images: 200)
        let isPartial = try model.bundle.network.output(of: 0) == .partialLogits
        #expect(isPartial == (classes == 4))
        let evaluator = try BundleEvaluator(bundle: model.bundle)
        for missing in [[], [1], [0, 2], [0, 1, 2]] as [Set<Int>] {
            let mask = missing.reduce(UInt64(0)) { $0 | 1 << UInt64($1) }
            let found = try model.pixels[..<6].withUnsafeBytes { try evaluator.logits(pixels: $0, missing: missing) }
            for (left, right) in zip(found, model.logits(0, missing: mask)) {
                #expect(abs(Double(left) - right) < 1e-4)
            }
        }
        let evaluation = try evaluator.evaluate(pixels: model.pixels, labels: model.labels)
        let whole = model.reference(missing: 0)
        #expect(evaluation.images == 200 && abs(evaluation.top1 - whole.accuracy) < 1e-9)
        #expect(abs(evaluation.top5 - whole.top5) < 1e-9 && abs(evaluation.nll - whole.nll) < 1e-4)
        #expect(abs(evaluation.calibrationError - whole.error) < 1e-4)
        #expect(evaluation.confusion.joined().reduce(0, +) == 200)
        let diagonal = evaluation.confusion.indices.map { evaluation.confusion[$0][$0] }
        #expect(diagonal.reduce(0, +) == Int((whole.accuracy * 200).rounded()))
        #expect(evaluation.byMissing.map(\.subsets) == [1, 3, 3])
        for (entry, masks) in zip(evaluation.byMissing, [[0], [1, 2, 4], [3, 5, 6]] as [[UInt64]]) {
            let references = masks.map(model.reference)
            let accuracies = references.map(\.accuracy)
            let mean = accuracies.reduce(0, +) / Double(masks.count)
            #expect(abs(entry.mean - mean) < 1e-9)
            #expect(abs(entry.worst - accuracies.min()!) < 1e-9 && abs(entry.best - accuracies.max()!) < 1e-9)
            let error = references.reduce(0) { $0 + $1.error } / Double(masks.count)
            #expect(abs(entry.calibrationError - error) < 1e-4)
        }
    }

    @Test func theNumberOfThreadsChangesNothing() throws {
        let model = try Model(.concat, branches: 10, classes: 7, images: 500)
        var options = EvaluationOptions()
        options.maximumSubsets = 20
        var results: [Evaluation] = []
        for threads in [1, 2, 5, 100] {
            options.threads = threads
            results.append(
                try BundleEvaluator(bundle: model.bundle).evaluate(
                    pixels: model.pixels, labels: model.labels, options: options))
        }
        #expect(results.dropFirst().allSatisfy { $0 == results[0] })
        #expect(results[0].byMissing.map(\.subsets) == [1, 10, 20, 20, 20, 20, 20, 20, 20, 10])
        #expect(results[0].byMissing.map(\.sampled) == (0..<10).map { (2...8).contains($0) })
        #expect(results[0].byMissing[5].standardError > 0)
        options.seed = 2
        let other = try BundleEvaluator(bundle: model.bundle).evaluate(
            pixels: model.pixels, labels: model.labels, options: options)
        #expect(other.byMissing[5] != results[0].byMissing[5] && other.byMissing[9] == results[0].byMissing[9])
        #expect(other.confusion == results[0].confusion && other.nll == results[0].nll)
    }

    @Test func dataThatDoNotFitAreTold() throws {
        let model = try Model(.sum, branches: 3, classes: 4, images: 100)
        let evaluator = try BundleEvaluator(bundle: model.bundle)
        func message(_ options: EvaluationOptions = .init(), pixels: [UInt8]? = nil, labels: [Int]? = nil) -> String {
            do {
                _ = try evaluator.evaluate(
                    pixels: pixels ?? model.pixels, labels: labels ?? model.labels.map(Int.init), options: options)
                return ""
            } catch {
                return "\(error)"
            }
        }
        var options = EvaluationOptions()
        for missing in [3, 64, -1, .max] {
            options.maximumMissing = missing
            #expect(message(options).contains("0 to 2 can be missing, not \(missing)"))
        }
        options.maximumMissing = 2
        #expect(message(options).isEmpty)
        options.maximumSubsets = 0
        #expect(message(options).contains("at least one set"))
        var labels = model.labels.map(Int.init)
        labels[70] = 4
        #expect(message(labels: labels).contains("image 70 has the label 4, and test knows the classes 0 to 3"))
        labels[70] = -1
        #expect(message(labels: labels).contains("label -1"))
        #expect(message(pixels: [], labels: []).contains("no labelled images"))
        #expect(message(pixels: Array(model.pixels.dropLast())).contains("599 bytes for 100 labels"))
    }

    @Test func numbersThatOverflowAreTold() throws {
        let model = try Model(.concat, branches: 2, classes: 9, images: 100, gain: 3e38)
        let error = #expect(throws: InferenceError.self) {
            try BundleEvaluator(bundle: model.bundle).evaluate(pixels: model.pixels, labels: model.labels)
        }
        #expect(error?.description.contains("not finite") == true)
    }

    @Test func itStopsWhereItIsTold() throws {
        let model = try Model(.concat, branches: 2, classes: 4, images: 1000)
        let evaluator = try BundleEvaluator(bundle: model.bundle)
        for limit in [0.0, 0.5] {
            var seen: [Double] = []
            #expect(throws: CancellationError.self) {
                try evaluator.evaluate(pixels: model.pixels, labels: model.labels) {
                    seen.append($0)
                    return $0 < limit
                }
            }
            #expect(seen == seen.sorted() && (seen.last ?? -1) >= limit)
        }
        // And begins anew.
        let evaluation = try evaluator.evaluate(pixels: model.pixels, labels: model.labels, maximumMissing: 0) { _ in
            true
        }
        #expect(evaluation.images == 1000 && evaluation.byMissing.count == 1)
    }
}

@Suite struct EncodedEvaluationTests {
    @Test(
        "What encodings cost is told: nothing with PNG, a little with JPEG and small features, much with a quality of 1"
    )
    func costs() throws {
        let model = try BundleEvaluatorTests.Model(.concat, branches: 2, classes: 4, images: 200)
        let evaluator = try BundleEvaluator(bundle: model.bundle)
        func evaluate(_ change: (inout EvaluationOptions) -> Void) throws -> Evaluation {
            var options = EvaluationOptions()
            options.maximumMissing = 0
            change(&options)
            return try evaluator.evaluate(pixels: model.pixels, labels: model.labels, options: options)
        }
        let plain = try evaluate { _ in }
        #expect(try evaluate { $0.encoding = .png } == plain)
        let half = try evaluate { $0.features = .fp16 }
        #expect(half.nll != plain.nll && abs(half.nll - plain.nll) < 1e-3)
        let integers = try evaluate { $0.features = .int8 }
        #expect(abs(integers.nll - plain.nll) > abs(half.nll - plain.nll) && abs(integers.nll - plain.nll) < 0.05)
        let fine = try evaluate { $0.encoding = .jpeg(quality: 100) }
        let coarse = try evaluate { $0.encoding = .jpeg(quality: 1) }
        #expect(fine.nll != plain.nll && abs(fine.nll - plain.nll) < abs(coarse.nll - plain.nll))
    }
}
