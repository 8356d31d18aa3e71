import Glibc
import LCPDatasets
import LCPEvaluation
import LCPModels
import LCPWire

/// What a model makes of a drawing sensor's frames, computed here and without messages.
final class TrialReference {
    private let evaluator: BundleEvaluator
    private let digits = DrawnDigits(seed: 2)

    /// - Parameter bundle: the one that pipelines run by default where nil.
    init(_ bundle: ModelBundle? = nil) throws {
        evaluator = try BundleEvaluator(bundle: try bundle ?? ModelBundle.find("lenet-split4"))
    }

    /// The true class of a frame.
    func truth(_ number: UInt64) -> Int { digits.image(number).label }

    func logits(_ number: UInt64, missing: Set<Int>) throws -> [Float] {
        try digits.image(number).pixels.withUnsafeBytes { try evaluator.logits(pixels: $0, missing: missing) }
    }

    func prediction(_ number: UInt64, missing: Set<Int>) throws -> Int {
        let logits = try logits(number, missing: missing)
        return logits.indices.max { logits[$0] < logits[$1] } ?? 0
    }

    /// How many of some frames are right without some branches.
    func accuracy(_ numbers: [UInt64], missing: Set<Int>) throws -> Double {
        let right = try numbers.count { try prediction($0, missing: missing) == truth($0) }
        return Double(right) / Double(max(1, numbers.count))
    }

    /// Whether a prediction is what the branches that it names make of its frame, every probability within a thousandth.
    func agrees(_ prediction: Prediction) throws -> Bool {
        guard let number = UInt64(prediction.frame), let found = prediction.probabilities else { return false }
        let logits = try logits(number, missing: Set(prediction.missing)).map(Double.init)
        let largest = logits.max() ?? 0
        let powers = logits.map { exp($0 - largest) }
        let sum = powers.reduce(0, +)
        return found.count == powers.count && zip(found, powers).allSatisfy { abs($0 - $1 / sum) < 1e-3 }
    }
}
