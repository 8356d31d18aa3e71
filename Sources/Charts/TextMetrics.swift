/// How wide text comes out. The font is the reader's, so this is the width in a wide one (DejaVu Sans): in others there is air.
enum TextMetrics {
    static func width(_ text: String, size: Double, isBold: Bool = false) -> Double {
        var ems = 0.0
        for character in text { ems += width(character) }
        return ems * size * (isBold ? 1.1 : 1)
    }

    private static func width(_ character: Character) -> Double {
        switch character {
        case "i", "j", "l", "I", "|", "'", ".", ",", ":", ";", "!": 0.34
        case "f", "t", "r", "(", ")", "[", "]", "/", "-", " ", "–": 0.41
        case "m", "w", "M", "W", "%", "@", "—", "…", "→": 1.0
        case "⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹", "⁻": 0.42
        case "A"..."Z", "×", "=", "+", "<", ">": 0.78
        default: character.unicodeScalars.allSatisfy { $0.value < 0x1100 } ? 0.635 : 1.05
        }
    }

    /// The text, or as much of it as fits, with an ellipsis.
    static func fit(_ text: String, width limit: Double, size: Double, isBold: Bool = false) -> String {
        guard width(text, size: size, isBold: isBold) > limit else { return text }
        var kept = ""
        var rest = limit - width("…", size: size, isBold: isBold)
        for character in text {
            rest -= width(character) * size * (isBold ? 1.1 : 1)
            guard rest >= 0 else { break }
            kept.append(character)
        }
        while kept.last == " " { kept.removeLast() }
        return kept + "…"
    }

    /// The text in lines that fit; what `lines` cannot hold ends with an ellipsis.
    static func wrap(
        _ text: String, width limit: Double, size: Double, isBold: Bool = false, lines maximum: Int
    ) -> [String] {
        var lines: [String] = []
        var words = text.split(whereSeparator: \.isWhitespace).map(String.init)[...]
        while !words.isEmpty, lines.count < maximum {
            if lines.count == maximum - 1 {
                lines.append(fit(words.joined(separator: " "), width: limit, size: size, isBold: isBold))
                break
            }
            var line = words.removeFirst()
            while let next = words.first, width("\(line) \(next)", size: size, isBold: isBold) <= limit {
                line += " \(next)"
                words.removeFirst()
            }
            lines.append(fit(line, width: limit, size: size, isBold: isBold))
        }
        return lines
    }
}
