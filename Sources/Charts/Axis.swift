/// What stands along one side of a chart.
public struct Axis: Sendable, Hashable {
    /// What is measured.
    public var title: String
    /// What it is measured in, shown behind the title.
    public var unit: String
    public var format: NumberFormat
    /// Whether every step multiplies. Values of 0 and less have no place then and are left out.
    public var isLogarithmic: Bool
    /// Whether only whole numbers make sense.
    public var isWhole: Bool
    /// The range that is shown at least; the data decide where it is nil.
    public var range: ClosedRange<Double>?

    public init(
        _ title: String = "", unit: String = "", format: NumberFormat = .automatic, isLogarithmic: Bool = false,
        isWhole: Bool = false, range: ClosedRange<Double>? = nil
    ) {
        self.title = title
        self.unit = unit
        self.format = format
        self.isLogarithmic = isLogarithmic
        self.isWhole = isWhole
        self.range = range
    }

    /// The title and the unit.
    var heading: String { unit.isEmpty ? title : title.isEmpty ? unit : "\(title) (\(unit))" }

    /// A value with its unit.
    func text(_ value: Double) -> String {
        unit.isEmpty || !value.isFinite ? format.text(value) : "\(format.text(value)) \(unit)"
    }
}
