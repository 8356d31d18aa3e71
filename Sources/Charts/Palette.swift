/// The colours of all charts: Okabe and Ito's, told apart with every kind of colour vision, without their pale yellow.
enum Palette {
    static let background = "#ffffff"
    static let text = "#1f2328"
    static let quietText = "#59636e"
    static let grid = "#e4e7eb"
    static let axis = "#8c959f"

    private static let series: [(red: Int, green: Int, blue: Int)] = [
        (0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0), (86, 180, 233), (204, 121, 167), (90, 90, 90),
    ]
    private static let dashes: [String?] = [nil, "7 4", "2 4", "10 3 2 3"]

    /// The colour of a series. After seven they come again, darker, then lighter.
    static func color(_ index: Int) -> String {
        let base = series[index % series.count]
        return switch index / series.count % 3 {
        case 0: hex(base)
        case 1: hex(mix(base, (0, 0, 0), 0.42))
        default: hex(mix(base, (255, 255, 255), 0.5))
        }
    }

    /// The dashes of a line, so that no two of 28 look the same; nil for a whole line.
    static func dash(_ index: Int) -> String? { dashes[index / series.count % dashes.count] }

    /// The marks of a line's points.
    static func marker(_ index: Int) -> Canvas.Marker {
        Canvas.Marker(rawValue: index % Canvas.Marker.allCases.count) ?? .circle
    }

    /// From nearly white to dark blue, for 0 to 1.
    static func heat(_ fraction: Double) -> String {
        let stops: [(red: Int, green: Int, blue: Int)] = [
            (246, 249, 252), (198, 219, 239), (107, 174, 214), (33, 113, 181), (8, 48, 107),
        ]
        let place = max(0, min(1, fraction.isFinite ? fraction : 0)) * Double(stops.count - 1)
        let index = min(stops.count - 2, Int(place))
        return hex(mix(stops[index], stops[index + 1], place - Double(index)))
    }

    /// The colour of text on ``heat(_:)``.
    static func textOnHeat(_ fraction: Double) -> String { fraction > 0.55 ? "#ffffff" : text }

    /// Black or white, whichever is easier to read on the colour of a series (WCAG's relative luminance).
    static func textOnColor(_ index: Int) -> String {
        let base = series[index % series.count]
        let luminance = 0.2126 * Double(base.red) + 0.7152 * Double(base.green) + 0.0722 * Double(base.blue)
        return switch index / series.count % 3 {
        case 0: luminance > 128 ? text : "#ffffff"
        case 1: "#ffffff"
        default: text
        }
    }

    private static func mix(
        _ from: (red: Int, green: Int, blue: Int), _ to: (red: Int, green: Int, blue: Int), _ share: Double
    ) -> (red: Int, green: Int, blue: Int) {
        func channel(_ from: Int, _ to: Int) -> Int { from + Int((Double(to - from) * share).rounded()) }
        return (channel(from.red, to.red), channel(from.green, to.green), channel(from.blue, to.blue))
    }

    private static func hex(_ color: (red: Int, green: Int, blue: Int)) -> String {
        "#"
            + [color.red, color.green, color.blue].map { value in
                let digits = String(value, radix: 16)
                return digits.count == 1 ? "0\(digits)" : digits
            }.joined()
    }
}
