import Charts
import Foundation
import Testing

@Suite struct ChartTests {
    static let nasty = "a <b> & \"c\" 'd' \u{1}\u{8}\u{FFFE} é 漢字 🦊"
    /// Numbers that have broken many a chart.
    static let strange: [Double] = [
        0, -0.0, 1, -1, .nan, .infinity, -.infinity, .greatestFiniteMagnitude, -.greatestFiniteMagnitude,
        .leastNonzeroMagnitude, 1e-12, 1e15, 1e15 + 1,
    ]

    static func bars(
        _ values: [[Double]], names: String = "s", arrangement: BarChart.Arrangement = .grouped,
        orientation: BarChart.Orientation = .vertical, isLogarithmic: Bool = false
    ) -> BarChart {
        BarChart(
            title: nasty, summary: nasty, categories: (0..<(values.first?.count ?? 0)).map { "\(names) \($0)" },
            series: values.enumerated().map { .init("\(names) \($0.offset)", $0.element, errors: [1, .nan, 0.5]) },
            axis: Axis("value", unit: "ms", isLogarithmic: isLogarithmic), arrangement: arrangement,
            orientation: orientation)
    }

    /// Well-formed, no number that is none, and nothing far outside the card. Its texts are returned.
    @discardableResult
    static func check(_ svg: String, _ comment: Comment) throws -> XMLReader {
        let reader = try #require(XMLReader(svg), comment)
        let root = try #require(reader.elements.first)
        #expect(root.name == "svg" && root.attributes["version"] == "1.1", comment)
        let width = try #require(root.attributes["width"].flatMap(Double.init))
        let height = try #require(root.attributes["height"].flatMap(Double.init))
        #expect(reader.elements[1].name == "title" && reader.elements[2].name == "desc", comment)
        for element in reader.elements {
            for (key, value) in element.attributes {
                #expect(!value.contains("nan") && !value.contains("inf"), comment)
                guard ["x", "x1", "x2", "cx", "y", "y1", "y2", "cy"].contains(key) else { continue }
                let place = try #require(Double(value), comment)
                #expect((-1...(key.contains("x") ? width : height) + 1).contains(place), "\(comment): \(element)")
            }
        }
        return reader
    }

    @Test(arguments: [BarChart.Arrangement.grouped, .stacked], [BarChart.Orientation.vertical, .horizontal])
    func barsOfAnyNumbers(arrangement: BarChart.Arrangement, orientation: BarChart.Orientation) throws {
        let long = String(repeating: "a very long name ", count: 20)
        let twenty = (0..<20).map { series in Self.strange.map { $0 / Double(series + 1) } }
        for values in [[], [[]], [[1]], [[3, 1, 2]], [Self.strange], twenty, [[0, 0]], [[-5, -3]]] {
            for isLogarithmic in [false, true] {
                for names in ["s", long, Self.nasty] {
                    let chart = Self.bars(
                        values, names: names, arrangement: arrangement, orientation: orientation,
                        isLogarithmic: isLogarithmic)
                    try Self.check(chart.svg(), "\(values) \(arrangement) \(orientation) \(isLogarithmic) \(names)")
                    try Self.check(chart.svg(width: 300), "narrow: \(values)")
                }
            }
        }
    }

    @Test func linesOfAnyNumbers() throws {
        func points(_ x: [Double], _ y: [Double]) -> [LineChart.Point] {
            zip(x, y).map { .init($0, $1, low: $1 - 1, high: $1 + 1) }
        }
        let many = (0..<20).map { series in
            LineChart.Series("series \(series)", points((0..<100).map(Double.init), Array(repeating: 2, count: 100)))
        }
        let sets: [[LineChart.Series]] = [
            [], [.init("empty", [])], [.init("one", [.init(5, 7)])], many,
            [.init("strange", points(Self.strange, Self.strange.reversed()), style: .band)],
            [.init("points", points([1, 2], [1e-9, 1e9]), style: .points), .init("", [], style: .reference)],
        ]
        for (index, set) in sets.enumerated() {
            for isLogarithmic in [false, true] {
                let chart = LineChart(
                    title: Self.nasty, x: Axis("x", isLogarithmic: isLogarithmic),
                    y: Axis("y", unit: "%", isLogarithmic: isLogarithmic), series: set)
                let reader = try Self.check(chart.svg(), "set \(index), logarithmic \(isLogarithmic)")
                if index < 2 { #expect(reader.texts.contains("no data")) }
            }
        }
    }

    @Test func matricesOfAnyNumbers() throws {
        for size in [0, 1, 2, 30, 100] {
            let names = (0..<size).map { "\(Self.nasty) \($0)" }
            let values = (0..<size).map { row in (0..<size).map { Self.strange[(row + $0) % Self.strange.count] } }
            for shading in [MatrixChart.Shading.value, .shareOfRow] {
                let chart = MatrixChart(
                    title: "m", rowTitle: "truth", columnTitle: "prediction", rows: names, columns: names,
                    values: size == 2 ? [] : values, shading: shading)
                try Self.check(chart.svg(), "\(size) \(shading)")
            }
        }
    }

    @Test func textIsEscapedAndKept() throws {
        let reader = try Self.check(Self.bars([[1, 2]], names: Self.nasty).svg(width: 2000), "escaping")
        let kept = "a <b> & \"c\" 'd' \u{FFFD}\u{FFFD}\u{FFFD} é 漢字 🦊"
        #expect(reader.elements[1].text == kept)
        #expect(reader.elements[2].text == kept)
        #expect(reader.texts.contains(kept + " 0"))
    }

    @Test func barsHaveTheRightLengths() throws {
        let chart = BarChart(
            title: "t", categories: ["a", "b"], series: [.init("one", [10, 20]), .init("two", [40, 0])],
            axis: Axis("value"))
        let heights = try Self.check(chart.svg(), "lengths").named("rect").compactMap { element in
            element.attributes["rx"] == nil ? element.attributes["height"].flatMap(Double.init) : nil
        }
        // 300 pixels for 0 to 40.
        #expect(heights == [75, 300, 150, 0])
        var stacked = chart
        stacked.arrangement = .stacked
        let reader = try Self.check(stacked.svg(), "stacked")
        #expect(reader.texts.contains("50") && reader.texts.contains("20"), "the totals are written")
        var logarithmic = chart
        logarithmic.series = [.init("", [1, 100])]
        logarithmic.axis.isLogarithmic = true
        let bars = try Self.check(logarithmic.svg(), "logarithmic").named("rect").suffix(2)
        #expect(bars.map { $0.attributes["height"] } == ["0", "300"])
    }

    @Test func theSameInputGivesTheSameBytes() {
        let chart = Self.bars([Self.strange, Self.strange])
        let figure = Figure(title: "f", rows: [[.bars(chart), .bars(chart)], [], [.bars(chart)]])
        #expect(chart.svg() == Self.bars([Self.strange, Self.strange]).svg())
        #expect(figure.svg() == figure.svg())
    }

    @Test func aFigureHoldsAllItsPanels() throws {
        let lines = LineChart(title: "second", x: Axis("x"), y: Axis("y"), series: [.init("s", [.init(1, 2)])])
        let matrix = MatrixChart(title: "third", rows: ["r"], columns: ["c"], values: [[7]])
        let figure = Figure(
            title: "all", summary: "three", rows: [[.bars(Self.bars([[1]])), .lines(lines)], [.matrix(matrix)]])
        let texts = try Self.check(figure.svg(), "figure").texts
        for text in ["all", "three", "second", "third", "7"] { #expect(texts.contains(text)) }
        try Self.check(Figure(title: "", rows: []).svg(), "empty figure")
    }
}
