import Glibc
import LCPModels

/// What a graph computes of every number of one feature map by itself, and with constants alone, until a layer wants it.
///
/// Exporters write an activation in many ways: x · sigmoid(x), or x · clip(x + 3, 0, 6) / 6. Which one it is, the values of the
/// function tell, and not the way in which it is written.
struct Formula {
    indirect enum Term {
        case argument
        case constant(Double)
        case unary(Unary, Term)
        case binary(Binary, Term, Term)
    }
    enum Unary {
        case sigmoid, tanh, erf, exp, negative, absolute, softplus, root
        case clip(Double, Double)
        case hardSigmoid(Double, Double)
        case leaky(Double)
        case elu(Double)
        case gelu(isTanh: Bool)
        case hardSwish
    }
    enum Binary { case sum, difference, product, quotient, power, least, most }

    /// What x is.
    let base: Feature
    let term: Term
    /// The node that it ends with, for messages.
    var node = ""
    /// Whether the operators so far are nothing but sums and products with constants, so that it is a · x + b.
    var affine: (factor: Double, offset: Double)? {
        guard let factor = Self.affine(term) else { return nil }
        return factor
    }

    func callAsFunction(_ x: Double) -> Double { Self.value(term, x) }

    private static func value(_ term: Term, _ x: Double) -> Double {
        switch term {
        case .argument: return x
        case .constant(let number): return number
        case .unary(let function, let inner):
            let y = value(inner, x)
            switch function {
            case .sigmoid: return Activation.sigmoid(y)
            case .tanh: return Glibc.tanh(y)
            case .erf: return Glibc.erf(y)
            case .exp: return Glibc.exp(y)
            case .negative: return -y
            case .absolute: return abs(y)
            case .softplus: return Glibc.log1p(Glibc.exp(y))
            case .root: return y.squareRoot()
            case .clip(let least, let most): return min(max(y, least), most)
            case .hardSigmoid(let alpha, let beta): return min(max(alpha * y + beta, 0), 1)
            case .leaky(let slope): return y >= 0 ? y : slope * y
            case .elu(let alpha): return y >= 0 ? y : alpha * (Glibc.exp(y) - 1)
            case .gelu(let isTanh): return isTanh ? Activation.geluTanh(y) : Activation.gelu(y)
            case .hardSwish: return Activation.hardSwish(y)
            }
        case .binary(let function, let left, let right):
            let (a, b) = (value(left, x), value(right, x))
            switch function {
            case .sum: return a + b
            case .difference: return a - b
            case .product: return a * b
            case .quotient: return a / b
            case .power: return Glibc.pow(a, b)
            case .least: return min(a, b)
            case .most: return max(a, b)
            }
        }
    }

    private static func affine(_ term: Term) -> (Double, Double)? {
        switch term {
        case .argument: return (1, 0)
        case .constant(let number): return (0, number)
        case .unary(.negative, let inner): return affine(inner).map { (-$0.0, -$0.1) }
        case .unary: return nil
        case .binary(let function, let left, let right):
            guard let a = affine(left), let b = affine(right) else { return nil }
            switch function {
            case .sum: return (a.0 + b.0, a.1 + b.1)
            case .difference: return (a.0 - b.0, a.1 - b.1)
            case .product where a.0 == 0: return (a.1 * b.0, a.1 * b.1)
            case .product where b.0 == 0: return (a.0 * b.1, a.1 * b.1)
            case .quotient where b.0 == 0 && b.1 != 0: return (a.0 / b.1, a.1 / b.1)
            default: return nil
            }
        }
    }

    /// Where the values are looked at: on both sides of every bend that an activation has, and where exponentials have gone.
    private static let places: [Double] = (-60...60).map { Double($0) / 6 + 0.013 }

    /// The layer that computes it; nil where there is none.
    var layer: Layer? {
        let values = Self.places.map { self($0) }
        guard values.allSatisfy(\.isFinite) else { return nil }
        func isSame(_ function: (Double) -> Double) -> Bool {
            zip(Self.places, values).allSatisfy { abs(function($0) - $1) <= 2e-6 * max(1, abs($1)) }
        }
        if isSame({ max(0, $0) }) { return .relu }
        if isSame({ min(max(0, $0), 6) }) { return .relu6 }
        let fixed: [Activation] = [.sigmoid, .tanh, .silu, .hardSwish, .gelu, .geluTanh]
        // Those with constants, which the values tell.
        let slope = self(-1)
        let (low, middle) = (self(-0.01), self(0.01))
        let steepness = (middle - low) / 0.02
        let saturation = self(-200)
        let fitted: [Activation] = [
            .leakyReLU(slope: Float(-slope)), .elu(alpha: Float(-saturation)),
            .hardSigmoid(alpha: Float(steepness), beta: Float((low + middle) / 2)),
        ]
        return (fixed + fitted).first { candidate in isSame { candidate($0) } }.map { .activation($0) }
    }
}
