import Foundation
import Testing

@testable import LCPEvaluation

/// Small cases, computed by hand.
@Suite struct EvaluationTests {
    static func isNear(_ left: Double, _ right: Double, _ tolerance: Double = 1e-6) -> Bool {
        abs(left - right) <= tolerance
    }

    /// Natural logarithms of numbers, as logits: the softmax is then the numbers' shares.
    static func logits(_ weights: [Float]) -> [Float] { weights.map { Float(log(Double($0))) } }

    @Test func calibrationErrorByHand() {
        var bins = CalibrationBins()
        #expect(bins.error == 0 && bins.accuracy == 0)
        // Two of confidence 0.95, one of them right: 0.45 away. One of 0.5 that is right: 0.5 away.
        bins.add(confidence: 0.95, isRight: true)
        bins.add(confidence: 0.95, isRight: false)
        bins.add(confidence: 0.5, isRight: true)
        #expect(Self.isNear(bins.error, (0.45 + 0.45 + 0.5) / 3))
        #expect(Self.isNear(bins.accuracy, 2.0 / 3))
        #expect(bins.images[14] == 2 && bins.images[7] == 1 && bins.totalImages == 3)
        #expect(Self.isNear(bins.bins[14].confidence, 0.95) && bins.bins[14].accuracy == 0.5)
        #expect(bins.bins[3] == .init(images: 0, confidence: 0, accuracy: 0))
        // In one bin the distances cancel before they are counted: (0.94 + 0.96) / 2 is 0.95.
        var together = CalibrationBins()
        together.add(confidence: 0.94, isRight: true)
        together.add(confidence: 0.96, isRight: false)
        #expect(Self.isNear(together.error, 0.45))
    }

    /// Truths in rows, answers in columns.
    @Test(
        "Answers no better than chance are told from weak ones",
        arguments: [
            // One answer for everything, also where most images are of that class.
            ([[90, 0], [10, 0]], true), ([[50, 0], [50, 0]], true),
            // As many of each, whatever the truth: 25 of 50 right.
            ([[12, 13], [12, 13]], true), ([[14, 11], [11, 14]], true),
            ([[25, 0], [0, 25]], false), ([[20, 5], [5, 20]], false),
            // A third of ten classes.
            ((0..<10).map { truth in (0..<10).map { $0 == truth ? 9 : 2 } }, false),
            ((0..<10).map { truth in (0..<10).map { $0 == truth ? 3 : 2 } }, true),
            // All of one class, or none kept: nobody can tell.
            ([[30, 0], [0, 0]], false), ([], false),
        ] as [([[Int]], Bool)])
    func guesses(confusion: [[Int]], isGuess: Bool) {
        let images = max(1, confusion.joined().reduce(0, +))
        let right = Double(confusion.indices.reduce(0) { $0 + confusion[$1][$1] }) / Double(images)
        let evaluation = Evaluation(
            images: images, accuracy: right, top1: right, top5: 1, calibrationError: 0, nll: 0, confusion: confusion,
            reliability: [], byMissing: [])
        #expect(evaluation.isGuess == isGuess)
    }

    @Test func theBinsAreOpenBelowAndClosedAbove() {
        func bin(_ confidence: Float) -> Int? {
            var bins = CalibrationBins()
            bins.add(confidence: confidence, isRight: true)
            return bins.images.firstIndex(of: 1)
        }
        #expect(bin(0) == 0 && bin(1) == 14 && bin(0.0666) == 0 && bin(0.0667) == 1)
        #expect(bin(0.5333) == 7 && bin(0.5334) == 8 && bin(0.9333) == 13 && bin(0.9334) == 14)
        #expect(bin(-1) == 0 && bin(2) == 14)
    }

    @Test func anAnswerByHand() {
        // Shares 1/8, 5/8, 2/8.
        Self.logits([1, 5, 2]).withUnsafeBufferPointer { logits in
            let answer = Answer(logits)
            #expect(answer.prediction == 1 && Self.isNear(Double(answer.confidence), 0.625))
            #expect(Self.isNear(answer.loss(0, logits), log(8)) && Self.isNear(answer.loss(2, logits), log(4)))
            #expect((0..<3).map { Answer.rank(of: $0, logits) } == [2, 0, 1])
        }
        // Of equal ones the first, and far from 0 nothing overflows.
        [1000, 1000, -1000, 1000].map(Float.init).withUnsafeBufferPointer { logits in
            let answer = Answer(logits)
            #expect(answer.prediction == 0 && Self.isNear(Double(answer.confidence), 1.0 / 3))
            #expect((0..<4).map { Answer.rank(of: $0, logits) } == [0, 1, 3, 2])
            #expect(Self.isNear(answer.loss(2, logits), 2000 + log(3), 1e-3))
        }
        [Float.infinity, 1].withUnsafeBufferPointer { #expect(!Answer($0).confidence.isFinite) }
        [Float.nan, 1].withUnsafeBufferPointer { #expect(!Answer($0).confidence.isFinite) }
    }

    /// Four images, seven classes, one set of missing branches beside the whole.
    static func example() -> Evaluation {
        let answers: [(weights: [Float], truth: Int)] = [
            ([14, 1, 1, 1, 1, 1, 1], 0),  // right, 0.7
            ([14, 1, 1, 1, 1, 1, 1], 4),  // wrong, the fifth
            ([14, 1, 1, 1, 1, 1, 1], 5),  // wrong, the sixth
            ([1, 1, 1, 1, 1, 1, 14], 6),  // right, 0.7
        ]
        var tally = EvaluationTally(classes: 7, subsets: 3)
        for (image, (weights, truth)) in answers.enumerated() {
            logits(weights).withUnsafeBufferPointer {
                let answer = Answer($0)
                tally.add(answer, image: image, truth: truth, logits: $0, block: image / 2)
                tally.add(answer, truth: truth, subset: 1)
                tally.add(answer, truth: answer.prediction, subset: 2)
            }
        }
        return tally.evaluation([
            BranchSubsets(of: 2, missing: 0, limit: 9, seed: 1), BranchSubsets(of: 2, missing: 1, limit: 9, seed: 1),
        ])
    }

    @Test func anEvaluationByHand() {
        let evaluation = Self.example()
        #expect(evaluation.images == 4 && evaluation.top1 == 0.5 && evaluation.accuracy == 0.5)
        #expect(evaluation.top5 == 0.75)
        #expect(Self.isNear(evaluation.calibrationError, 0.2))
        let losses: [Double] = [-log(0.7), log(20), log(20), -log(0.7)]
        #expect(Self.isNear(evaluation.nll, losses.reduce(0, +) / 4))
        var confusion = Array(repeating: Array(repeating: 0, count: 7), count: 7)
        (confusion[0][0], confusion[4][0], confusion[5][0], confusion[6][6]) = (1, 1, 1, 1)
        #expect(evaluation.confusion == confusion)
        #expect(
            evaluation.worstConfusions(5) == [
                .init(truth: 4, prediction: 0, images: 1), .init(truth: 5, prediction: 0, images: 1),
            ])
        #expect(evaluation.worstConfusions(1).count == 1 && evaluation.worstConfusions(-1).isEmpty)
        let missing = evaluation.byMissing
        #expect(missing.map(\.missing) == [0, 1] && missing.map(\.subsets) == [1, 2])
        // One half right with one branch missing, all right with the other.
        #expect(missing[1].mean == 0.75 && missing[1].worst == 0.5 && missing[1].best == 1)
        #expect(!missing[1].sampled && missing[1].standardError == 0)
        #expect(Self.isNear(missing[1].calibrationError, (0.2 + 0.3) / 2))
    }

    @Test func theKeysOfTheJSONStay() throws {
        let json = try JSONSerialization.jsonObject(with: JSONEncoder().encode(Self.example()))
        let object = try #require(json as? [String: Any])
        #expect(
            Set(object.keys) == [
                "images", "accuracy", "top1", "top5", "calibration_error", "nll", "confusion", "reliability",
                "by_missing",
            ])
        let missing = try #require(object["by_missing"] as? [[String: Any]])
        #expect(
            Set(missing[1].keys) == [
                "missing", "mean", "worst", "best", "standard_error", "subsets", "sampled", "calibration_error",
            ])
    }

    @Test func partsOfATallyAddUpInAnyOrder() {
        var parts: [EvaluationTally] = []
        for part in 0..<5 {
            var tally = EvaluationTally(classes: 3, subsets: 1)
            for image in 0..<20 {
                let weights = [1, Float(1 + part), Float(1 + image) * 0.37]
                Self.logits(weights).withUnsafeBufferPointer {
                    tally.add(Answer($0), image: image, truth: image % 3, logits: $0, block: part)
                }
            }
            parts.append(tally)
        }
        let none = [BranchSubsets(of: 1, missing: 0, limit: 1, seed: 1)]
        func sum(_ order: [Int]) -> Evaluation {
            var total = parts[order[0]]
            for part in order.dropFirst() { total += parts[part] }
            return total.evaluation(none)
        }
        #expect(sum([0, 1, 2, 3, 4]) == sum([4, 2, 0, 3, 1]))
        #expect(sum([0, 1, 2, 3, 4]).images == 100)
    }

    @Test func theStandardErrorOfASample() {
        let group = BranchSubsets(of: 10, missing: 5, limit: 4, seed: 1)
        let result = EvaluationTally.missing(group, [0.5, 0.6, 0.7, 0.8], [0.1, 0.1, 0.3, 0.3])
        // Variance 1/60, four of 252.
        let variance: Double = 1.0 / 60 / 4 * (248.0 / 252)
        #expect(Self.isNear(result.standardError, variance.squareRoot()))
        #expect(result.sampled && result.subsets == 4 && Self.isNear(result.mean, 0.65))
        #expect(Self.isNear(result.calibrationError, 0.2))
    }
}
