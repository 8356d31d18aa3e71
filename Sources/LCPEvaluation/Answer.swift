import LCPInference

/// What the logits of one image say.
struct Answer {
    /// The most probable class, the first of several.
    let prediction: Int
    /// Its softmax; not finite where the logits are not.
    let confidence: Float
    private let softmax: Softmax

    init(_ logits: UnsafeBufferPointer<Float>) {
        var best = 0
        for index in logits.indices where logits[index] > logits[best] { best = index }
        prediction = best
        softmax = Softmax(logits)
        confidence = softmax.probability(of: logits[best])
    }

    /// The negative logarithm of the true class's softmax, in nats.
    func loss(_ truth: Int, _ logits: UnsafeBufferPointer<Float>) -> Double {
        softmax.loss(of: logits[truth])
    }

    /// How many classes come before the true one: those of larger logits, and of equal ones those with a smaller number.
    static func rank(of truth: Int, _ logits: UnsafeBufferPointer<Float>) -> Int {
        let value = logits[truth]
        return logits.indices.reduce(0) {
            $0 + (logits[$1] > value || (logits[$1] == value && $1 < truth) ? 1 : 0)
        }
    }
}
