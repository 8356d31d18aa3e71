import Glibc
import LCPPipeline
import LCPWire
import Platform

/// What `lcp status` shows people.
struct StatusTable {
    private let overview: PipelineOverview
    private let root: String
    /// What all who run a model run; nil where they differ or nobody does.
    private let model: String?

    init(_ overview: PipelineOverview, _ root: String) {
        (self.overview, self.root) = (overview, root)
        let models = Set(overview.members.compactMap { $0.status.isGone ? nil : Self.model($0.status) })
        model = models.count == 1 ? models.first : nil
    }

    /// As wide as the terminal.
    var text: String { text(columns: terminalColumns(STDOUT_FILENO) ?? .max) }

    func text(columns: Int) -> String {
        guard !overview.members.isEmpty else {
            let files = ((try? FileIO.list("/etc/lcp")) ?? []).filter { $0.hasSuffix(".yaml") }.sorted()
            let hint = files.isEmpty ? "" : "; this device's pipeline: --config /etc/lcp/\(files[0])"
            return "nobody is in \(root): start a worker, an aggregator and a sensor\(RoleSession.dotHint(root))\(hint)"
        }
        let head = model.map { "  \(root) runs \($0)\n\n" } ?? ""
        return head + table.text(columns: columns) + notes.map { Self.folded($0, columns) }.joined()
    }

    /// A sentence below the table, on as many lines as it takes.
    private static func folded(_ text: String, _ columns: Int) -> String {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let last = lines.last, last.count + word.count + 3 <= columns {
                lines[lines.count - 1] += " " + word
            } else {
                lines.append((lines.isEmpty ? "" : "  ") + word)
            }
        }
        return lines.map { "\n  " + $0 }.joined()
    }

    private static func model(_ status: RoleStatus) -> String? {
        status.model.map {
            Log.printable(String($0.prefix(32))) + (status.isFallback == true ? " (came with lcp)" : "")
        }
    }

    private static func name(_ text: String) -> String { Log.printable(String(text.prefix(32))) }

    /// What no pipeline can have counted is a stranger's, and does not widen the table.
    private static func count(_ value: UInt64) -> String { value < 1_000_000_000_000 ? "\(value)" : "–" }

    private var table: Table {
        var header = ["role", "name", "state", "branches"]
        if model == nil { header.append("model") }
        let first = header.count
        header += ["frames/s", "queue ms", "compute ms", "missing", "late", "dropped"]
        var table = Table(
            header, rightAligned: Set(first..<header.count),
            optional: [first + 4, first + 1, first + 3, first + 2, first + 5])
        func number(_ value: Double?, _ digits: Int) -> String { value.map { fixed($0, digits: digits) } ?? "" }
        for member in overview.members {
            let (status, statistics) = (member.status, member.statistics)
            var row = [
                status.role.rawValue, Self.name(status.id), overview.isGhost(member) ? "silent" : status.state.rawValue,
                (status.serves ?? []).map(String.init).joined(separator: ","),
            ]
            if model == nil { row.append(Self.model(status) ?? "") }
            row += [
                member.status.isGone ? "" : number(member.framesPerSecond, 1), number(statistics?.queueP50, 2),
                number(statistics?.computeP50, 2), statistics?.incomplete.map(Self.count) ?? "",
                status.role == .aggregator ? statistics.map { Self.count($0.dropped["late"] ?? 0) } ?? "" : "",
                (statistics?.lost.total).map(Self.count) ?? "",
            ]
            table.add(row)
        }
        return table
    }

    /// Sentences below the table.
    private var notes: [String] {
        var notes: [String] = []
        if case (.silent, let reason) = overview.health { notes.append("\(root) answers nothing: \(reason)") }
        if overview.members.contains(where: { !$0.status.isGone && $0.status.isFallback == true }) {
            notes.append("no model was pushed to \(root): push yours with lcp model push")
        }
        func list(_ reasons: some Sequence<(reason: String, count: UInt64)>) -> String {
            reasons.prefix(4).map { "\(Self.count($0.count)) \(Self.name($0.reason))" }.joined(separator: ", ")
        }
        for member in overview.members {
            let who = "\(member.status.role.rawValue) \(Self.name(member.status.id))"
            if let engine = member.status.engine, engine != RoleStatus.processor, !member.status.isGone {
                notes.append("\(who) computes on another device: \(Log.printable(String(engine.prefix(64))))")
            }
            if let reasons = member.statistics?.lost.reasons, !reasons.isEmpty {
                notes.append("\(who) dropped \(list(reasons))")
            }
            if let again = member.statistics?.warnings?["sent_again"], again > 0 {
                notes.append("\(who) sent \(Self.count(again)) frames again that had no answer")
            }
            let warnings = (member.statistics?.warnings ?? [:]).filter { $0.key != "sent_again" }
                .sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            if !warnings.isEmpty {
                notes.append(
                    "\(who) computed in spite of \(list(warnings.lazy.map { (reason: $0.key, count: $0.value) }))")
            }
        }
        for (aggregator, sensors) in overview.shares {
            let named = sensors.prefix(4).map(Self.name).joined(separator: ", ")
            let rest = sensors.count > 4 ? " and \(sensors.count - 4) more" : ""
            notes.append(
                "aggregator \(Self.name(aggregator)) answers \(sensors.isEmpty ? "no sensor that is here" : named + rest)"
            )
        }
        for (sensor, time) in overview.bareSensors {
            notes.append("\(Self.name(sensor)) sends pictures without lcp, and was answered last at \(Self.name(time))")
        }
        for member in overview.members where overview.isGhost(member) {
            notes.append(
                "nothing is heard of \(member.status.role.rawValue) \(Self.name(member.status.id)), which the broker says is there: "
                    + "lcp forget takes it away")
        }
        if let missing = overview.missingBranches, !missing.isEmpty {
            let names = missing.map(String.init).joined(separator: ", ")
            notes.append("nobody runs branch\(missing.count == 1 ? "" : "es") \(names): start another worker")
        }
        for (sensor, stream) in (overview.plan?.sensors ?? [:]).sorted(by: { $0.key < $1.key })
        where stream.rule.every > 1 {
            notes.append(
                "more comes from \(Self.name(sensor)) than can be computed: one frame of \(stream.rule.every) is")
        }
        return notes
    }
}
