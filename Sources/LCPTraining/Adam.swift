#if Training
/// Adam (Kingma and Ba, 2015), with decoupled weight decay (AdamW: Loshchilov and Hutter, 2019) where it is not zero.
final class Adam {
    private let momentum: Buffer
    private let variance: Buffer
    private let beta1: Float
    private let beta2: Float
    private let epsilon: Float
    private var step = 0

    init(count: Int, beta1: Float = 0.9, beta2: Float = 0.99, epsilon: Float = 1e-8) {
        momentum = Buffer(count)
        variance = Buffer(count)
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
    }

    func update(_ parameters: Buffer, _ gradients: Buffer, learningRate: Float, weightDecay: Float) {
        step += 1
        let correction1 = 1 - power(beta1, step)
        let correction2 = 1 - power(beta2, step)
        let rate = learningRate / correction1
        let (values, slopes, m, v) = (parameters.pointer, gradients.pointer, momentum.pointer, variance.pointer)
        for index in 0..<parameters.count {
            let gradient = slopes[index]
            m[index] = beta1 * m[index] + (1 - beta1) * gradient
            v[index] = beta2 * v[index] + (1 - beta2) * gradient * gradient
            let scale = (v[index] / correction2).squareRoot() + epsilon
            values[index] -= rate * m[index] / scale + learningRate * weightDecay * values[index]
        }
    }

    private func power(_ base: Float, _ exponent: Int) -> Float {
        var (result, factor, rest) = (Float(1), base, exponent)
        while rest > 0 {
            if rest & 1 == 1 { result *= factor }
            factor *= factor
            rest >>= 1
        }
        return result
    }
}
#endif
