import ArgumentParser
import LCPPipeline
import LCPWire
import MQTT
import Platform
import Synchronization

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "See who is in a pipeline, what each one does, and how fast.",
        discussion: """
            On a terminal the table is renewed every second until Ctrl-C; elsewhere it is printed once, after eleven seconds, \
            because roles tell their counters every five and a rate needs two.

            With --check it prints one line after two seconds, for a timer or a monitor, and the exit status tells: 0 all branches \
            answer; 1 some do, or different models are run; 2 nobody answers; 3 the broker cannot be reached.

            Examples:
              lcp status --check --pipeline kitchen || echo "look at the kitchen"
              lcp status --broker mqtt://broker.local --pipeline kitchen
              lcp status --pipeline kitchen --json
            """)

    @OptionGroup var role: RoleOptions

    @Option(help: ArgumentHelp("Listen for so long, and print once.", valueName: "seconds"))
    var `for`: Double?

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "Print one line, and tell by the exit status how well the pipeline does.")
    var check = false

    private struct Report: Encodable {
        var pipeline: String
        var missingBranches: [Int]?
        var overload: FlowPlan?
        var health: PipelineOverview.Health
        var members: [PipelineOverview.Member]

        enum CodingKeys: String, CodingKey {
            case pipeline, overload, health, members
            case missingBranches = "missing_branches"
        }

        /// With all keys, also where nothing is known.
        func encode(to encoder: any Encoder) throws {
            var values = encoder.container(keyedBy: CodingKeys.self)
            try values.encode(pipeline, forKey: .pipeline)
            try values.encode(missingBranches, forKey: .missingBranches)
            try values.encode(overload, forKey: .overload)
            try values.encode(health, forKey: .health)
            try values.encode(members, forKey: .members)
        }
    }

    func validate() throws {
        if let seconds = `for`, !(0.1...86_400).contains(seconds) {
            throw ValidationError("--for is 0.1 to 86,400 seconds")
        }
    }

    func run() async throws {
        let configuration = try role.settings().configuration()
        let topics = try Topics(prefix: configuration.prefix, pipeline: configuration.pipeline)
        let isLive = isTerminal(1) && !json && !check && `for` == nil
        let (json, check, seconds) = (json, check, `for` ?? (check ? 2 : 11))
        try await role.run(isLive ? .usual : .cutShort) {
            let overview = Mutex(PipelineOverview())
            do {
                try await MQTTClient.withConnection(configuration.mqtt) { client in
                    let statuses = try await client.subscribe(to: topics.statuses) { message in
                        if let status = RoleStatus(message, topics: topics) { overview.withLock { $0.add(status) } }
                    }
                    let statistics = try await client.subscribe(to: "\(topics.root)/stats/+/+") { message in
                        let levels = message.topic.split(separator: "/")
                        guard levels.count >= 2 else { return }
                        overview.withLock {
                            $0.add(
                                statistics: Array(message.payload), role: String(levels[levels.count - 2]),
                                id: String(levels[levels.count - 1]))
                        }
                    }
                    let plans = try await client.subscribe(to: topics.flow) { message in
                        overview.withLock { $0.plan = FlowPlan(Array(message.payload)) }
                    }
                    defer {
                        plans.unsubscribe()
                        statuses.unsubscribe()
                        statistics.unsubscribe()
                    }
                    client.callStatuses(topics)
                    while isLive {
                        try await Task.sleep(for: .seconds(1))
                        // Home, clear, and the table anew.
                        writeText("\u{1B}[H\u{1B}[J" + Self.table(overview.withLock { $0 }, topics.root) + "\n")
                    }
                    try await Task.sleep(for: .milliseconds(Int(seconds * 1000)))
                }
            } catch let error as MQTTError where check {
                writeErrorLine("Error: \(error)")
                throw ExitCode(3)
            }
            let seen = overview.withLock { $0 }
            let (health, reason) = seen.health
            if json {
                let report = Report(
                    pipeline: topics.root, missingBranches: seen.missingBranches, overload: seen.plan, health: health,
                    members: seen.members)
                writeLine(try jsonLine(report))
            } else {
                writeLine(check ? "\(topics.root) is \(health): \(reason)" : Self.table(seen, topics.root))
            }
            if check, health != .well { throw ExitCode(Int32(health.rawValue)) }
        }
    }

    private static func table(_ overview: PipelineOverview, _ root: String) -> String {
        let members = overview.members
        guard !members.isEmpty else {
            return "nobody is in \(root): start a worker, an aggregator and a sensor\(RoleSession.dotHint(root))"
        }
        var table = Table(
            [
                "role", "name", "state", "branches", "model", "frames/s", "queue ms", "compute ms", "missing", "late",
                "dropped",
            ],
            rightAligned: [5, 6, 7, 8, 9, 10])
        // What no pipeline can have counted is a stranger's, and does not widen the table.
        func count(_ value: UInt64) -> String { value < 1_000_000_000_000 ? "\(value)" : "–" }
        func number(_ value: Double?, _ digits: Int) -> String { value.map { fixed($0, digits: digits) } ?? "" }
        var drops = ""
        for member in members {
            let (status, statistics) = (member.status, member.statistics)
            let (name, lost) = (Log.printable(String(status.id.prefix(32))), statistics?.lost)
            let isGone = status.state == .lost || status.state == .disconnected
            table.add([
                status.role.rawValue, name, status.state.rawValue,
                (status.serves ?? []).map(String.init).joined(separator: ","),
                Log.printable(String((status.model ?? "").prefix(32))),
                isGone ? "" : number(member.framesPerSecond, 1), number(statistics?.queueP50, 2),
                number(statistics?.computeP50, 2), statistics?.incomplete.map(count) ?? "",
                status.role == .aggregator ? statistics.map { count($0.dropped["late"] ?? 0) } ?? "" : "",
                lost.map { count($0.total) } ?? "",
            ])
            func list(_ reasons: some Sequence<(reason: String, count: UInt64)>) -> String {
                reasons.prefix(4).map { "\(count($0.count)) \(Log.printable(String($0.reason.prefix(32))))" }
                    .joined(separator: ", ")
            }
            if let reasons = lost?.reasons, !reasons.isEmpty {
                drops += "\n  \(status.role.rawValue) \(name) dropped \(list(reasons))"
            }
            let warnings = (statistics?.warnings ?? [:]).sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            if !warnings.isEmpty {
                let counted = warnings.lazy.map { (reason: $0.key, count: $0.value) }
                drops += "\n  \(status.role.rawValue) \(name) computed in spite of \(list(counted))"
            }
        }
        var text = table.text + drops
        if let missing = overview.missingBranches, !missing.isEmpty {
            text +=
                "\n  nobody runs branch\(missing.count == 1 ? "" : "es") \(missing.map(String.init).joined(separator: ", ")): start another worker"
        }
        for (sensor, stream) in (overview.plan?.sensors ?? [:]).sorted(by: { $0.key < $1.key })
        where stream.rule.every > 1 {
            text +=
                "\n  more comes from \(Log.printable(String(sensor.prefix(32)))) than can be computed: one frame of \(stream.rule.every) is"
        }
        return text
    }
}
