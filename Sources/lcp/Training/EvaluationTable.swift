import LCPEvaluation

/// An evaluation as people read it in a terminal.
enum EvaluationTable {
    static func show(_ report: EvaluateCommand.Report, labels: [String]) {
        for (index, result) in report.results.enumerated() {
            if index > 0 { writeLine("") }
            let evaluation = result.evaluation
            writeLine("\(report.model) on \(examples(evaluation.images, of: result.data))")
            var summary = Table(["top-1", percent(evaluation.top1)], rightAligned: [1])
            if let plain = result.plain {
                let isFixedPoint = report.arithmetic == "3.13"
                summary.add([isFixedPoint ? "in single precision" : "with raw frames and fp32", percent(plain.top1)])
                var changed = isFixedPoint ? ["fixed point 3.13"] : []
                if !isFixedPoint || report.encoding != "raw" || report.features != "fp32" {
                    changed += [report.encoding, report.features]
                }
                summary.add([
                    "cost of \(changed.joined(separator: " and "))",
                    fixed((plain.top1 - evaluation.top1) * 100, digits: 2) + " points",
                ])
            }
            if labels.count > 5 { summary.add(["top-5", percent(evaluation.top5)]) }
            summary.add(["calibration error", percent(evaluation.calibrationError)])
            summary.add(["cross-entropy", fixed(evaluation.nll, digits: 4) + "  "])
            writeLine(summary.text)
            writeLine("")
            writeLine(missing(evaluation.byMissing).text)
            let mistakes = evaluation.worstConfusions(5)
            guard !mistakes.isEmpty else { continue }
            var table = Table(["most confused", "taken for", "images", "of its images"], rightAligned: [2, 3])
            for mistake in mistakes {
                let all = evaluation.confusion[mistake.truth].reduce(0, +)
                table.add([
                    labels[mistake.truth], labels[mistake.prediction], "\(mistake.images)",
                    percent(Double(mistake.images) / Double(max(1, all))),
                ])
            }
            writeLine("")
            writeLine(table.text)
        }
    }

    private static func missing(_ entries: [Evaluation.Missing]) -> Table {
        let isSampled = entries.contains(where: \.sampled)
        var header = ["branches missing", "mean"]
        if isSampled { header.append("± standard error") }
        header += ["worst", "best", "calibration error", "subsets"]
        var table = Table(header, rightAligned: Set(1..<header.count))
        for entry in entries {
            var row = ["\(entry.missing)", percent(entry.mean)]
            if isSampled { row.append(entry.sampled ? percent(entry.standardError) : "") }
            row += [percent(entry.worst), percent(entry.best), percent(entry.calibrationError)]
            row.append(
                entry.sampled ? "\(entry.subsets) drawn" : isSampled ? "all \(entry.subsets)" : "\(entry.subsets)")
            table.add(row)
        }
        return table
    }
}
