import Glibc

/// The softmax of logits, computed from the largest one so that nothing overflows.
package struct Softmax {
    private let largest: Float
    /// Σ exp(logit − largest).
    private let sum: Float

    package init(_ logits: UnsafeBufferPointer<Float>) {
        let largest = logits.max() ?? 0
        var sum: Float = 0
        for logit in logits { sum += expf(logit - largest) }
        (self.largest, self.sum) = (largest, sum)
    }

    /// The probability of a class, from its logit; not finite where the logits are not.
    package func probability(of logit: Float) -> Float { expf(logit - largest) / sum }

    /// The negative logarithm of a class's probability, in nats.
    package func loss(of logit: Float) -> Double { log(Double(sum)) + Double(largest) - Double(logit) }

    /// Makes probabilities of logits, in place.
    package static func apply(to values: UnsafeMutableBufferPointer<Float>) {
        let largest = values.max() ?? 0
        var sum: Float = 0
        for index in values.indices {
            values[index] = expf(values[index] - largest)
            sum += values[index]
        }
        for index in values.indices { values[index] /= sum }
    }
}
