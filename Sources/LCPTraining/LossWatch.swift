import Glibc

/// Tells from the losses of its steps that a training has diverged: one rule for every recipe.
///
/// A loss that is no number ends it at once. Not every optimizer gets there: Adam takes steps of the same length however steep
/// the slope is, so that with a learning rate of 1e6 the loss stays a number, of 35 digits.
///
/// The loss of guessing evenly is ln(classes), and a network begins near that. Where it begins above, its first loss is what
/// counts: weights may not be scaled to their inputs yet, and teachers and auxiliary heads add to the loss. A hundred times as
/// much, with 10 classes a loss of 230, means that the right class has the probability 1e-100, less than FP32 can express.
/// A healthy training with a high learning rate can be there for some steps and recovers; one that is there for 200 steps
/// on end, or for half of a training that is shorter than 400, does not.
struct LossWatch {
    private static let factor = 100.0
    private static let patience = 200

    private let guessing: Double
    private var first: Double?
    private var stepsAbove = 0

    /// - Parameter first: the loss that the training began with, where it goes on from a checkpoint.
    init(classes: Int, first: Double? = nil) {
        guessing = log(Double(max(2, classes)))
        self.first = first
    }

    /// Takes the loss of the next step.
    ///
    /// - Parameter steps: of the whole training.
    /// - Returns: why the training has to end, for a sentence; nil while it may go on.
    mutating func complaint(_ loss: Double, steps: Int) -> String? {
        guard loss.isFinite else { return "the loss is no longer a number" }
        let start = first ?? loss
        first = start
        stepsAbove = loss > Self.factor * max(guessing, start) ? stepsAbove + 1 : 0
        guard stepsAbove >= max(1, min(Self.patience, steps / 2)) else { return nil }
        return "the loss has grown from \(Float(start)) to \(Float(loss))"
    }
}
