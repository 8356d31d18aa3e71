/// SVG elements, one after the other. Coordinates are pixels, with two digits behind the point.
struct Canvas {
    enum Anchor: String { case start, middle, end }
    enum Marker: Int, CaseIterable { case circle, square, triangle, diamond, point }

    private var body = ""

    /// A rectangle; `tooltip` is shown where the pointer rests on it.
    mutating func rectangle(
        x: Double, y: Double, width: Double, height: Double, fill: String, opacity: Double = 1, radius: Double = 0,
        stroke: String? = nil, tooltip: String? = nil
    ) {
        guard [x, y, width, height].allSatisfy(\.isFinite), width >= 0, height >= 0 else { return }
        var element = "<rect x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" width=\"\(Self.number(width))\""
        element += " height=\"\(Self.number(height))\" fill=\"\(fill)\""
        if opacity < 1 { element += " fill-opacity=\"\(Self.number(opacity))\"" }
        if radius > 0 { element += " rx=\"\(Self.number(radius))\"" }
        if let stroke { element += " stroke=\"\(stroke)\"" }
        add(element, "rect", tooltip)
    }

    mutating func line(
        _ from: (x: Double, y: Double), _ to: (x: Double, y: Double), stroke: String, width: Double = 1,
        dash: String? = nil
    ) {
        guard [from.x, from.y, to.x, to.y].allSatisfy(\.isFinite) else { return }
        var element = "<line x1=\"\(Self.number(from.x))\" y1=\"\(Self.number(from.y))\" x2=\"\(Self.number(to.x))\""
        element += " y2=\"\(Self.number(to.y))\" stroke=\"\(stroke)\" stroke-width=\"\(Self.number(width))\""
        if let dash { element += " stroke-dasharray=\"\(dash)\"" }
        add(element, "line", nil)
    }

    mutating func polyline(_ points: [(x: Double, y: Double)], stroke: String, width: Double, dash: String? = nil) {
        guard points.count > 1 else { return }
        var element = "<polyline points=\"\(Self.list(points))\" fill=\"none\" stroke=\"\(stroke)\""
        element += " stroke-width=\"\(Self.number(width))\" stroke-linejoin=\"round\" stroke-linecap=\"round\""
        if let dash { element += " stroke-dasharray=\"\(dash)\"" }
        add(element, "polyline", nil)
    }

    mutating func polygon(_ points: [(x: Double, y: Double)], fill: String, opacity: Double = 1) {
        guard points.count > 2 else { return }
        var element = "<polygon points=\"\(Self.list(points))\" fill=\"\(fill)\""
        if opacity < 1 { element += " fill-opacity=\"\(Self.number(opacity))\"" }
        add(element, "polygon", nil)
    }

    /// A mark for one point of a line, with a thin white edge that keeps neighbours apart.
    mutating func marker(
        _ marker: Marker, x: Double, y: Double, radius: Double, fill: String, tooltip: String? = nil
    ) {
        guard x.isFinite, y.isFinite else { return }
        let edge = "fill=\"\(fill)\" stroke=\"\(Palette.background)\" stroke-width=\"1\""
        let corners: [(x: Double, y: Double)]
        switch marker {
        case .circle:
            let center = "cx=\"\(Self.number(x))\" cy=\"\(Self.number(y))\""
            return add("<circle \(center) r=\"\(Self.number(radius))\" \(edge)", "circle", tooltip)
        case .square:
            let half = radius * 0.9
            corners = [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
        case .triangle:
            corners = [
                (x, y - radius * 1.2), (x + radius * 1.1, y + radius * 0.8), (x - radius * 1.1, y + radius * 0.8),
            ]
        case .diamond:
            let half = radius * 1.25
            corners = [(x, y - half), (x + half, y), (x, y + half), (x - half, y)]
        case .point:
            corners = [
                (x, y + radius * 1.2), (x + radius * 1.1, y - radius * 0.8), (x - radius * 1.1, y - radius * 0.8),
            ]
        }
        add("<polygon points=\"\(Self.list(corners))\" \(edge)", "polygon", tooltip)
    }

    /// A line of text; `y` is its baseline and `angle` turns it clockwise, in degrees.
    mutating func text(
        _ text: String, x: Double, y: Double, size: Double, fill: String = Palette.text, anchor: Anchor = .start,
        isBold: Bool = false, angle: Double = 0, tooltip: String? = nil
    ) {
        guard x.isFinite, y.isFinite, !text.isEmpty else { return }
        let (left, top) = (Self.number(x), Self.number(y))
        body += "<text x=\"\(left)\" y=\"\(top)\" font-size=\"\(Self.number(size))\" fill=\"\(fill)\""
        if anchor != .start { body += " text-anchor=\"\(anchor.rawValue)\"" }
        if isBold { body += " font-weight=\"600\"" }
        if angle != 0 { body += " transform=\"rotate(\(Self.number(angle)) \(left) \(top))\"" }
        body += ">"
        if let tooltip { body += "<title>\(Markup.escaped(tooltip))</title>" }
        body += "\(Markup.escaped(text))</text>\n"
    }

    /// The whole file: a card that is readable on light and dark pages, a title and a description for screen readers.
    func document(width: Double, height: Double, title: String, summary: String) -> String {
        let (width, height) = (Self.number(width), Self.number(height.rounded(.up)))
        var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        text += "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" role=\"img\" width=\"\(width)\""
        text += " height=\"\(height)\" viewBox=\"0 0 \(width) \(height)\" font-family=\"system-ui, sans-serif\">\n"
        text += "<title>\(Markup.escaped(title))</title>\n"
        text += "<desc>\(Markup.escaped(summary))</desc>\n"
        text += "<rect width=\"\(width)\" height=\"\(height)\" rx=\"8\" fill=\"\(Palette.background)\"/>\n"
        return text + body + "</svg>\n"
    }

    private mutating func add(_ element: String, _ name: String, _ tooltip: String?) {
        body += element
        body += tooltip.map { "><title>\(Markup.escaped($0))</title></\(name)>\n" } ?? "/>\n"
    }

    private static func list(_ points: [(x: Double, y: Double)]) -> String {
        points.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
    }

    /// A coordinate, rounded to hundredths.
    static func number(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e9 else { return "0" }
        let hundredths = Int((value * 100).rounded())
        let (whole, rest) = (abs(hundredths) / 100, abs(hundredths) % 100)
        let sign = hundredths < 0 ? "-" : ""
        if rest == 0 { return "\(sign)\(whole)" }
        return "\(sign)\(whole)." + (rest % 10 == 0 ? "\(rest / 10)" : rest < 10 ? "0\(rest)" : "\(rest)")
    }
}
