import Charts
import LCPModels

extension NetworkCost {
    /// The ways to use several devices beside each other, as an SVG file.
    func figure(_ split: String) -> String {
        func chart(_ title: String, unit: String, _ value: (SpreadingCost) -> Int) -> Figure.Panel {
            let values = methods.map(value)
            let scale = AmountScale(values.max() ?? 0)
            return .bars(
                BarChart(
                    title: title, categories: methods.map(\.method.shortTitle),
                    series: [.init("", values.map { Double($0) / scale.divisor })],
                    axis: Axis(unit: scale.prefix + unit), orientation: .horizontal))
        }
        return Figure(
            title: "\(network) on \(branches.count) devices",
            summary: "Counts for one image: \(split), beside the whole network on one device and spread in other ways.",
            rows: [
                [
                    chart("Parameters, on the device with the most", unit: "", \.largestParameters),
                    chart("MACs, on the device with the most", unit: "", \.largestMACs),
                ],
                [
                    chart("Bytes received, all together", unit: "B", \.bytes),
                    chart("Connected pairs", unit: "", \.connectedPairs),
                ],
            ]
        ).svg()
    }
}

/// What the numbers of a chart are divided by, so that the largest has one to three digits before its point.
private struct AmountScale {
    var divisor = 1.0
    var prefix = ""

    init(_ largest: Int) {
        for next in ["k", "M", "G", "T"] where Double(largest) >= divisor * 1000 {
            divisor *= 1000
            prefix = next
        }
    }
}

extension SpreadingCost.Method {
    /// For people, where there is little room.
    fileprivate var shortTitle: String {
        switch self {
        case .dataParallel: "data parallel"
        case .modelParallelByOutput: "model parallel, output"
        case .modelParallelByInput: "model parallel, input"
        default: title
        }
    }
}
