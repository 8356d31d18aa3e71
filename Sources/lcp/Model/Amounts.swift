import ArgumentParser
import FoundationEssentials

/// A whole number with separators: 50,303,912.
func exact(_ value: Int) -> String {
    var text = String(value.magnitude)
    var position = text.count - 3
    while position > 0 {
        text.insert(",", at: text.index(text.startIndex, offsetBy: position))
        position -= 3
    }
    return value < 0 ? "-" + text : text
}

/// A number as people say it, with three digits: 50.3 M.
func amount(_ value: Int) -> String {
    var (scaled, prefixes) = (Double(value), ["", " k", " M", " G", " T", " P", " E"][...])
    // From 999.5 on, three digits would be 1000.
    while abs(scaled) >= 999.5, prefixes.count > 1 {
        scaled /= 1000
        prefixes.removeFirst()
    }
    guard let prefix = prefixes.first, !prefix.isEmpty else { return "\(value)" }
    return fixed(scaled, digits: abs(scaled) < 9.995 ? 2 : abs(scaled) < 99.95 ? 1 : 0) + prefix
}

/// A number of bytes as people say it, decimal: 64.0 MB.
func byteAmount(_ value: Int) -> String {
    let text = amount(value)
    return text.contains(" ") ? text + "B" : text + " B"
}

/// How many times smaller something became.
func times(_ before: Int, _ after: Int) -> String { fixed(Double(before) / Double(max(1, after)), digits: 2) + " ×" }

/// `one branch` or `4 branches`.
func branchCount(_ count: Int) -> String { count == 1 ? "one branch" : "\(count) branches" }

/// Reads what stands on the command line for bytes: `64MB`, `1.5GiB`, `4096`.
func parseBytes(_ text: String) throws -> Int {
    let units: [String: Double] = [
        "": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 0x1p10, "mib": 0x1p20, "gib": 0x1p30,
    ]
    guard let value = parseAmount(text, units) else {
        throw ValidationError("give a number and B, KB, MB, GB, KiB, MiB or GiB, for example 64MB")
    }
    return value
}

/// Reads what stands on the command line for a number of operations: `200M`, `1.5G`, `61470`.
func parseOperations(_ text: String) throws -> Int {
    guard let value = parseAmount(text, ["": 1, "k": 1e3, "m": 1e6, "g": 1e9]) else {
        throw ValidationError("give a number and K, M or G, for example 200M")
    }
    return value
}

/// A number above 0 with a unit, whatever its case; nil for everything else.
private func parseAmount(_ text: String, _ units: [String: Double]) -> Int? {
    let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let unit = text[number.endIndex...].drop { $0 == " " }.lowercased()
    guard let value = Double(number), let factor = units[unit] else { return nil }
    let product = (value * factor).rounded(.down)
    return product >= 1 && product <= 0x1p60 ? Int(product) : nil
}
