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
            On a terminal the table is renewed every second until Ctrl-C; elsewhere it is printed once, as soon as everybody has \
            told its counters twice, after eleven seconds at most: a rate needs two, and they come every five. The exit status is 1 \
            where branches are missing.

            With --check it prints one line as soon as everybody was heard, after seven seconds at most, for a timer or a monitor, and the exit status tells: 0 all branches \
            answer; 1 some do, or different models are run; 2 nobody answers, or all frames are refused; 3 the broker cannot be reached.

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
        let (json, check, seconds, endsEarly) = (json, check, `for` ?? (check ? 7 : 11), `for` == nil)
        try await role.run(isLive ? .usual : .cutShort) {
            let overview = Mutex(PipelineOverview())
            do {
                try await MQTTClient.withConnection(configuration.mqtt) { client in
                    let statuses = try await client.subscribe(to: topics.statuses) { message in
                        let isKept = message.retained
                        if let status = RoleStatus(message, topics: topics) {
                            overview.withLock { $0.add(status, isKept: isKept) }
                        }
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
                    let start = ContinuousClock.now
                    while isLive {
                        try await Task.sleep(for: .seconds(1))
                        if ContinuousClock.now - start > .seconds(7) { overview.withLock { $0.trustsBroker = false } }
                        // Home, clear, and the table anew.
                        writeText("\u{1B}[H\u{1B}[J" + StatusTable(overview.withLock { $0 }, topics.root).text + "\n")
                    }
                    let begin = ContinuousClock.now
                    let end = begin + .milliseconds(Int(seconds * 1000))
                    while ContinuousClock.now < end {
                        let seen = overview.withLock { $0 }
                        let waited = ContinuousClock.now - begin
                        let isAlone = seen.members.isEmpty && waited > .seconds(2)
                        // Whom a node of a cluster has kept nothing of answers the call a moment later.
                        let isKnown =
                            seen.isHeard && !seen.members.isEmpty
                            && (seen.health.0 == .well || waited > .seconds(3))
                        if endsEarly, isAlone || (check ? isKnown : seen.hasRates) {
                            break
                        }
                        try await Task.sleep(for: min(.milliseconds(100), end - .now))
                    }
                }
            } catch let error as MQTTError where check {
                writeErrorLine("Error: \(error)")
                throw ExitCode(3)
            }
            let seen = overview.withLock {
                // Counters come every five seconds.
                $0.trustsBroker = seconds < 6
                return $0
            }
            let (health, reason) = seen.health
            if json {
                let report = Report(
                    pipeline: topics.root, missingBranches: seen.missingBranches, overload: seen.plan, health: health,
                    members: seen.members)
                writeLine(try jsonLine(report))
            } else {
                writeLine(check ? "\(topics.root) is \(health): \(reason)" : StatusTable(seen, topics.root).text)
            }
            if check, health != .well { throw ExitCode(Int32(health.rawValue)) }
            if seen.missingBranches?.isEmpty == false { throw ExitCode.failure }
        }
    }
}
