import Glibc

/// A function of every number by itself, besides ReLU and ReLU6, which are layers of their own.
///
/// Definitions and defaults are ONNX's (operator set 20) and PyTorch's.
public enum Activation: Sendable, Hashable {
    /// 1 / (1 + e^−x).
    case sigmoid
    case tanh
    /// x · sigmoid(x), also called swish.
    case silu
    /// min(max(α · x + β, 0), 1); α is 1/6 and β 1/2 in PyTorch.
    case hardSigmoid(alpha: Float, beta: Float)
    /// x · min(max(x / 6 + 1/2, 0), 1).
    case hardSwish
    /// x from 0 up, slope · x below.
    case leakyReLU(slope: Float)
    /// x from 0 up, α · (e^x − 1) below.
    case elu(alpha: Float)
    /// x · Φ(x), the normal distribution's cumulative function, exact.
    case gelu
    /// GELU by tanh: x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³))).
    case geluTanh

    /// The constants of those that have some, in their order.
    public var constants: (Float, Float) {
        switch self {
        case .hardSigmoid(let alpha, let beta): (alpha, beta)
        case .leakyReLU(let slope): (slope, 0)
        case .elu(let alpha): (alpha, 0)
        default: (0, 0)
        }
    }

    /// As the kernels number it: `enum lcp_activation` in CBranchKernels.
    package var kernelNumber: UInt32 {
        switch self {
        case .sigmoid: 0
        case .tanh: 1
        case .silu: 2
        case .hardSigmoid: 3
        case .hardSwish: 4
        case .leakyReLU: 5
        case .elu: 6
        case .gelu: 7
        case .geluTanh: 8
        }
    }

    /// The function itself, for numbers of eight bits and for comparison.
    public func callAsFunction(_ x: Double) -> Double {
        switch self {
        case .sigmoid: 1 / (1 + exp(-x))
        case .tanh: Glibc.tanh(x)
        case .silu: x / (1 + exp(-x))
        case .hardSigmoid(let alpha, let beta): min(max(Double(alpha) * x + Double(beta), 0), 1)
        case .hardSwish: x * min(max(x / 6 + 0.5, 0), 1)
        case .leakyReLU(let slope): x >= 0 ? x : Double(slope) * x
        case .elu(let alpha): x >= 0 ? x : Double(alpha) * (exp(x) - 1)
        case .gelu: x / 2 * (1 + erf(x / 2.0.squareRoot()))
        case .geluTanh:
            x / 2 * (1 + Glibc.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
        }
    }

    /// Whether its constants are numbers that something can be computed with.
    var isPossible: Bool {
        let (first, second) = constants
        return first.isFinite && second.isFinite
    }
}

extension Activation: CustomStringConvertible {
    public var description: String {
        switch self {
        case .sigmoid: "sigmoid"
        case .tanh: "tanh"
        case .silu: "SiLU"
        case .hardSigmoid: "hard sigmoid"
        case .hardSwish: "hard swish"
        case .leakyReLU(let slope): "leaky ReLU \(slope)"
        case .elu(let alpha): "ELU \(alpha)"
        case .gelu: "GELU"
        case .geluTanh: "GELU by tanh"
        }
    }
}
