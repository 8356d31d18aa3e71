import Glibc

/// How a chart writes its numbers.
public enum NumberFormat: Sendable, Hashable {
    /// Three significant digits; powers of ten for what is very large or very small.
    case automatic
    /// A fixed number of digits behind the point.
    case fixed(Int)
    /// A fraction as a percentage, with a number of digits behind the point.
    case percent(Int)

    /// A number as text; a dash for what is none.
    public func text(_ value: Double) -> String {
        guard value.isFinite else { return "–" }
        switch self {
        case .automatic: return Self.significant(value)
        case .fixed(let digits): return Self.decimal(value, digits: digits)
        case .percent(let digits): return Self.decimal(value * 100, digits: digits) + " %"
        }
    }

    /// The numbers at the ticks of an axis, with as many digits as tell them apart.
    func tickTexts(_ ticks: [Double], step: Double) -> [String] {
        switch self {
        case .percent:
            let digits = Self.digits(step * 100)
            return ticks.map { Self.decimal($0 * 100, digits: digits) + " %" }
        case .automatic, .fixed:
            let largest = ticks.map(abs).max() ?? 0
            if largest >= 1e6 || step < 1e-4 {
                return ticks.map { Self.scientific($0, step: step) }
            }
            let digits = Self.digits(step)
            return ticks.map { Self.decimal($0, digits: digits) }
        }
    }

    /// A tick of a logarithmic axis: as short as it goes.
    func logarithmicTickText(_ value: Double) -> String {
        if case .percent = self { return Self.decimal(value * 100, digits: Self.digits(value * 100)) + " %" }
        guard value < 1e6, value >= 1e-3 else { return Self.scientific(value, step: value) }
        return Self.decimal(value, digits: Self.digits(value))
    }

    private static func significant(_ value: Double) -> String {
        let size = abs(value)
        if size == 0 { return "0" }
        guard size < 999_999.5, size >= 1e-4 else { return scientific(value, step: size / 100) }
        let digits = max(0, 2 - Int(floor(log10(size))))
        var text = decimal(value, digits: digits)
        if text.contains(".") {
            while text.hasSuffix("0") { text.removeLast() }
            if text.hasSuffix(".") { text.removeLast() }
        }
        return text
    }

    /// Digits behind the point that a step of an axis needs.
    private static func digits(_ step: Double) -> Int {
        guard step.isFinite, step > 0 else { return 0 }
        return max(0, min(12, -Int(floor(log10(step) + 1e-9))))
    }

    private static func scientific(_ value: Double, step: Double) -> String {
        guard value != 0 else { return "0" }
        var exponent = Int(floor(log10(abs(value)) + 1e-12))
        let stepExponent = step > 0 && step.isFinite ? Int(floor(log10(step) + 1e-9)) : exponent
        let digits = max(0, min(6, exponent - stepExponent))
        // In two steps, because neither 10³²⁰ nor 10⁻³²⁰ is an exact Double.
        let half = exponent / 2
        var mantissa = value / pow(10, Double(half)) / pow(10, Double(exponent - half))
        if (abs(mantissa) * pow(10, Double(digits))).rounded() >= pow(10, Double(digits + 1)) {
            mantissa /= 10
            exponent += 1
        }
        var text = decimal(mantissa, digits: digits)
        if text.contains(".") {
            while text.hasSuffix("0") { text.removeLast() }
            if text.hasSuffix(".") { text.removeLast() }
        }
        let power = "10" + superscript(exponent)
        return text == "1" ? power : text == "-1" ? "-" + power : "\(text)×\(power)"
    }

    private static func superscript(_ value: Int) -> String {
        let digits: [Character] = ["⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"]
        return String(String(value).map { $0 == "-" ? "⁻" : digits[$0.wholeNumberValue ?? 0] })
    }

    private static func decimal(_ value: Double, digits: Int) -> String {
        let digits = max(0, min(12, digits))
        let scale = pow(10, Double(digits))
        let scaled = (abs(value) * scale).rounded()
        guard scaled < 1e18 else { return scientific(value, step: abs(value) / 100) }
        let number = UInt64(scaled)
        var whole = String(number / UInt64(scale))
        var position = whole.count - 3
        while position > 0 {
            whole.insert(",", at: whole.index(whole.startIndex, offsetBy: position))
            position -= 3
        }
        let sign = value < 0 && number > 0 ? "-" : ""
        guard digits > 0 else { return sign + whole }
        let fraction = String(number % UInt64(scale))
        return "\(sign)\(whole).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
    }
}
