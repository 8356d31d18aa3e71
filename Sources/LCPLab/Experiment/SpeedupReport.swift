import Charts
import LCPLocal

/// The page that shows what an experiment came to: one HTML file, its charts in it.
public struct SpeedupReport {
    private let experiment: SpeedupExperiment
    private let results: SpeedupResults

    public init(_ experiment: SpeedupExperiment, _ results: SpeedupResults) {
        self.experiment = experiment
        self.results = results
    }

    public var html: String {
        var parts = [
            "<!doctype html>", "<html lang=\"en\"><head><meta charset=\"utf-8\">",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
            "<title>\(Markup.escaped(experiment.title))</title>", "<style>\(Self.style)</style></head><body>",
            "<h1>\(Markup.escaped(experiment.title))</h1>", "<p>\(Markup.escaped(experiment.about))</p>",
        ]
        for setting in experiment.settings {
            let rows = results.rows(of: setting.name)
            guard !rows.isEmpty else { continue }
            parts.append(
                "<h2>\(Markup.escaped(setting.name))</h2><p>\(Markup.escaped(setting.about)). \(Markup.escaped(rows[0].record.label)). "
                    + "\(Markup.escaped(rows[0].record.conditions)).</p>")
            for devices in Set(rows.map(\.record.run.devices)).sorted() {
                guard let mean = results.meanSpeedup(setting.name, devices: devices), devices > 1 else { continue }
                let paper = mean.paper.map { "; the paper’s is \(rounded($0))" } ?? ""
                parts.append(
                    "<p>Branches on \(devices) devices against the original on one, geometric mean: "
                        + "<strong>\(rounded(mean.here)) ×</strong>\(paper).</p>")
            }
            parts += [latencies(rows), table(rows), links(rows), waterfalls(rows)]
        }
        if results.planned.of > 0 {
            parts.append(
                "<p>The planner was within 15 % of the measured latency in \(results.planned.within) of "
                    + "\(results.planned.of) runs.</p>")
        }
        if !results.compute.isEmpty { parts.append(compute) }
        return parts.joined(separator: "\n") + "\n</body></html>\n"
    }

    private func latencies(_ rows: [SpeedupResults.Row]) -> String {
        var networks: [String] = []
        for row in rows where !networks.contains(row.record.run.network) { networks.append(row.record.run.network) }
        return networks.map { network in
            let rows = rows.filter { $0.record.run.network == network }
            return BarChart(
                title: "\(network): a frame, from its capture to its prediction",
                summary: "Mean; the paper’s devices and programs were others, so that only ratios compare.",
                categories: rows.map { Self.title($0.record.run) },
                series: [
                    .init("measured", rows.map(\.record.latency.mean)),
                    .init("lower bound", rows.map { $0.record.boundMilliseconds ?? .nan }),
                    .init("the paper", rows.map { $0.record.run.paperMilliseconds ?? .nan }),
                ],
                axis: Axis("latency", unit: "ms", isLogarithmic: true), orientation: .horizontal
            ).svg(width: 900)
        }.joined(separator: "\n")
    }

    static func title(_ run: SpeedupExperiment.Run) -> String {
        let wider = run.fatten.map { ", \($0) % wider" } ?? ""
        switch run.way {
        case .original: return "one device"
        case .dataParallel: return "data parallel \(run.devices)"
        case .lcp: return "branches on \(run.devices)\(wider)"
        case .modelParallel: return "model parallel \(run.devices)"
        case .splitNet: return "SplitNet on \(run.devices)"
        }
    }

    private func table(_ rows: [SpeedupResults.Row]) -> String {
        let header = [
            "network", "way", "mean ms", "p50", "p95", "p99", "× faster", "paper ms", "paper ×", "planned ms",
            "bound ms", "p50 / bound", "p99 / bound", "frames/s", "pairs", "MiB", "J (model)", "paper J",
        ]
        var lines = ["<div class=\"wide\"><table><tr>" + header.map { "<th>\($0)</th>" }.joined() + "</tr>"]
        for row in rows {
            let (record, run) = (row.record, row.record.run)
            let cells = [
                Markup.escaped(run.network), Self.title(run), text(record.latency.mean), text(record.latency.p50),
                text(record.latency.p95), text(record.latency.p99), text(row.speedup), text(run.paperMilliseconds),
                text(row.paperSpeedup), text(record.plannedMilliseconds), text(record.boundMilliseconds),
                text(record.overBoundP50), text(record.overBoundP99), text(record.framesPerSecond),
                "\(record.connectedPairs)",
                text(record.peakMiB),
                text(record.modelledJoules), text(run.paperJoules),
            ]
            lines.append("<tr>" + cells.map { "<td>\($0)</td>" }.joined() + "</tr>")
        }
        return lines.joined(separator: "\n") + "</table></div>"
    }

    private func links(_ rows: [SpeedupResults.Row]) -> String {
        let named = rows.filter { !$0.record.traffic.isEmpty }
        guard !named.isEmpty else { return "" }
        func busiest(_ row: SpeedupResults.Row) -> Double {
            row.record.traffic.map { max($0.sentBytes, $0.receivedBytes) }.max() ?? 0
        }
        func total(_ row: SpeedupResults.Row) -> Double { row.record.traffic.map(\.sentBytes).reduce(0, +) }
        return BarChart(
            title: "What goes over the links for a frame",
            summary: "Ethernet frames, by the interfaces’ counters, the warm-up’s among them.",
            categories: named.map { "\($0.record.run.network), \(Self.title($0.record.run))" },
            series: [
                .init("all links together", named.map { total($0) / 1000 }),
                .init("the busiest link, in one direction", named.map { busiest($0) / 1000 }),
            ], axis: Axis(unit: "kB", isLogarithmic: true), orientation: .horizontal
        ).svg(width: 900)
    }

    /// Where the time of frames went: of the original and of the most branches of each network.
    private func waterfalls(_ rows: [SpeedupResults.Row]) -> String {
        rows.compactMap { row in
            row.record.trace?.chart(
                title: "\(row.record.run.network), \(Self.title(row.record.run)): where a frame’s time went",
                summary:
                    "The frame in the middle of five; the broker has it where the uplink ends, and features, too, which then may wait for its link."
            ).svg(width: 900)
        }.joined(separator: "\n")
    }

    private var compute: String {
        let mean = results.compute.map(\.ratio).geometricMean
        let highest = results.compute.map(\.ratio).max() ?? 0
        return
            "<h2>Compute alone</h2><p>The whole network in the fastest engine over one branch, one thread each: geometric mean "
            + "<strong>\(rounded(mean)) ×</strong>, highest \(rounded(highest)) × (the paper: 7.35 and 56.4).</p>"
            + BarChart(
                title: "One branch against the whole network", categories: results.compute.map(\.name),
                series: [.init("", results.compute.map(\.ratio))],
                axis: Axis("times faster", isLogarithmic: true), orientation: .horizontal
            ).svg(width: 900)
    }

    private func text(_ value: Double?) -> String { value.map { "\(rounded($0))" } ?? "" }

    private static let style = """
        body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1c1c1a; }
        svg { display: block; max-width: 100%; height: auto; margin: 1.5rem 0; }
        .wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; }
        th, td { padding: 0.25rem 0.5rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
        th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
        """
}
