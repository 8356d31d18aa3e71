import Charts

/// An evaluation as a figure: accuracy by missing branches, calibration, confusions.
enum EvaluationFigure {
    /// The most classes whose confusions are drawn.
    static let maximumClasses = 30

    static func figure(_ report: EvaluateCommand.Report, labels: [String]) -> Figure {
        var rows: [[Figure.Panel]] = []
        for result in report.results {
            let evaluation = result.evaluation
            var panels: [Figure.Panel] = evaluation.byMissing.count > 1 ? [.lines(missing(result))] : []
            panels += [.lines(reliability(result)), .bars(confidence(result))]
            let hasConfusion = labels.count <= maximumClasses && !evaluation.confusion.isEmpty
            // A small matrix fits beside another chart.
            if hasConfusion, labels.count <= 10 { panels.append(.matrix(confusion(result, labels))) }
            rows += stride(from: 0, to: panels.count, by: 2).map { Array(panels[$0..<min($0 + 2, panels.count)]) }
            if hasConfusion, labels.count > 10 { rows.append([.matrix(confusion(result, labels))]) }
        }
        let summary = report.results.map {
            "\(percent($0.evaluation.top1)) of \(NumberFormat.fixed(0).text(Double($0.evaluation.images))) images of \($0.data)"
        }
        return Figure(
            title: "\(report.model): how often it is right",
            summary: "Top-1 with all branches: \(summary.joined(separator: ", ")). Model \(report.model_hash).",
            rows: rows)
    }

    private static func missing(_ result: EvaluateCommand.Report.Result) -> LineChart {
        let entries = result.evaluation.byMissing
        let sets = entries.contains(where: \.sampled) ? "sets of missing branches, all or a sample" : "all sets"
        return LineChart(
            title: "Branches missing, \(result.data)",
            summary: "The mean over \(sets), and from the worst set to the best.",
            x: Axis("branches missing", isWhole: true), y: Axis("top-1 accuracy", format: .percent(2)),
            series: [
                .init(
                    "mean, worst to best",
                    entries.map { .init(Double($0.missing), $0.mean, low: $0.worst, high: $0.best) },
                    style: .band)
            ])
    }

    private static func reliability(_ result: EvaluateCommand.Report.Result) -> LineChart {
        let evaluation = result.evaluation
        let points = evaluation.reliability.filter { $0.images > 0 }.map { bin -> LineChart.Point in
            let range = interval(bin.accuracy, of: bin.images)
            return .init(bin.confidence, bin.accuracy, low: range.low, high: range.high)
        }
        return LineChart(
            title: "Calibration, \(result.data)",
            summary: "Calibration error \(percent(evaluation.calibrationError)) over 15 bins; bars are 95 % intervals.",
            x: Axis("confidence", format: .percent(0), range: 0...1),
            y: Axis("accuracy", format: .percent(0), range: 0...1),
            series: [
                .init("bins of confidence", points, style: .points),
                .init("as sure as right", [.init(0, 0), .init(1, 1)], style: .reference),
            ])
    }

    private static func confidence(_ result: EvaluateCommand.Report.Result) -> BarChart {
        let bins = result.evaluation.reliability
        let edges = (0...bins.count).map { fixed(100 * Double($0) / Double(bins.count), digits: 0) }
        return BarChart(
            title: "Confidence, \(result.data)", summary: "How many images are predicted with which confidence.",
            categories: bins.indices.map { "\(edges[$0])–\(edges[$0 + 1]) %" },
            series: [.init("", bins.map { Double($0.images) })],
            axis: Axis("images", format: .fixed(0), isLogarithmic: true, range: 1...10))
    }

    private static func confusion(_ result: EvaluateCommand.Report.Result, _ labels: [String]) -> MatrixChart {
        MatrixChart(
            title: "Confusions, \(result.data)",
            summary: "Images by truth and prediction, with all branches. Darker is a larger share of the row.",
            rowTitle: "truth", columnTitle: "prediction", rows: labels, columns: labels,
            values: result.evaluation.confusion.map { $0.map(Double.init) }, format: .fixed(0), shading: .shareOfRow)
    }

    /// Wilson's 95 % interval of a rate (Wilson 1927): sensible also for few images and for rates of 0 and 1.
    private static func interval(_ rate: Double, of count: Int) -> (low: Double, high: Double) {
        let (z, n) = (1.96, Double(max(1, count)))
        let middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
        let half = z * (rate * (1 - rate) / n + z * z / (4 * n * n)).squareRoot() / (1 + z * z / n)
        return (max(0, min(rate, middle - half)), min(1, max(rate, middle + half)))
    }
}
