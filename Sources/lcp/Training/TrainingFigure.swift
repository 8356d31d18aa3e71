import Charts
import LCPModels
import Platform

/// How a training went, as an SVG file.
enum TrainingFigure {
    static func write(_ bundle: ModelBundle, to path: String) throws {
        guard let record = bundle.manifest.training, let history = record.history, !history.isEmpty else { return }
        func series(_ name: String, _ value: (ModelManifest.EpochRecord) -> Double?) -> LineChart.Series {
            .init(name, history.compactMap { entry in value(entry).map { .init(Double(entry.epoch), $0) } })
        }
        func chart(_ title: String, _ axis: Axis, _ series: [LineChart.Series]) -> Figure.Panel {
            .lines(
                LineChart(
                    title: title, x: Axis("epoch"), y: axis, series: series.filter { !$0.points.isEmpty }))
        }
        let figure = Figure(
            title: "\(bundle.manifest.name), trained on \(record.data)",
            summary:
                "Loss, error and learning rate by epoch. The training images are counted as they were seen, changed a little; "
                + "the validation images as they are.",
            rows: [
                [
                    chart(
                        "Loss", Axis(isLogarithmic: true),
                        [series("training", \.loss), series("validation", \.validationLoss)]),
                    chart(
                        "Error", Axis(unit: "%", isLogarithmic: true),
                        [
                            series("training", { 100 * (1 - $0.accuracy) }),
                            series("validation", { $0.validationAccuracy.map { 100 * (1 - $0) } }),
                        ]),
                ],
                [chart("Learning rate", Axis(), [series("", { Double($0.learningRate) })])],
            ])
        try FileIO.write(Array(figure.svg().utf8), to: path)
    }
}
