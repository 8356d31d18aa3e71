import ArgumentParser
import FaultInjection
import FoundationEssentials
import LCPPipeline
import LCPWire
import MQTT
import Platform

struct ChaosCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chaos",
        abstract: "Make faults on purpose, to see a pipeline live through them.",
        discussion: """
            Every fault ends by itself, and Ctrl-C puts everything back at once.

            Examples:
              lcp chaos proxy --broker mqtt://localhost --listen 1884 \\
                  --duplicate 1 --reorder 0.1
              lcp chaos process --pid 4711 --signal pause --for 10
              lcp chaos broker --after 30 --down 5
              lcp chaos disk --folder /mnt/data --leave 1MB --for 30
              lcp chaos promises
            """,
        subcommands: [Proxy.self, ProcessFaults.self, Broker.self, Disk.self, Promises.self])

    /// What a time on the command line may be, seconds.
    static let longestTime = 86_400.0

    static func checkTime(_ seconds: Double) throws {
        guard seconds > 0, seconds <= longestTime else {
            throw ValidationError("--for is more than 0 and at most 86,400 seconds")
        }
    }
}

extension ChaosCommand {
    struct Proxy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "proxy",
            abstract: "Stand between clients and a broker, and drop, duplicate, reorder, damage and delay messages.",
            discussion: """
                Clients use the proxy's address as their broker's. Faults are made of messages (PUBLISH packets) only; \
                everything else passes in its order. With TLS nothing can be read: only --bandwidth and --partition work.

                QoS 2 is never duplicated. A message of QoS 1 or 2 that is dropped is sent again after its sender's next \
                reconnect. A duplicate and a reordering happen on the way to the broker and again on the way from it, unless \
                --direction says otherwise.

                Examples:
                  lcp chaos proxy --duplicate 1 --reorder 0.1 --direction in \\
                      --topics 'lcp/+/features/#'
                  lcp chaos proxy --delay 20 --jitter 10 --bandwidth 100KB
                  lcp chaos proxy --partition 30,5 --cut
                  lcp chaos proxy --plan faults.json --for 60 --json

                A plan says more than options do, for example:
                  {"seed": 1, "bandwidth": 100000, "faults": [
                    {"kind": {"drop": {}}, "topics": ["lcp/+/input/+"],
                     "probability": 0.1, "limit": 100},
                    {"kind": {"reorder": {"distance": 3, "patience": 100}},
                     "direction": "from_broker"},
                    {"kind": {"delay": {"milliseconds": 50, "jitter": 10}},
                     "clients": ["lcp-demo-worker-*"]},
                    {"kind": {"damage": {"bytes": 4, "wholePacket": true}},
                     "probability": 0.01},
                    {"kind": {"duplicate": {}}}],
                   "partitions": [{"start": 30, "duration": 5, "period": 60,
                     "mode": "cut", "clients": ["lcp-demo-sensor-*"]}]}
                """)

        @Option(
            help: ArgumentHelp(
                "The broker's address: mqtt://HOST[:PORT], mqtts://HOST[:PORT] or unix:/PATH.", valueName: "url"))
        var broker = "mqtt://localhost"

        @Option(
            help: ArgumentHelp(
                "Where clients connect to: a port of this machine, HOST:PORT or unix:/PATH; 0 for any free port.",
                valueName: "address"))
        var listen = "1884"

        @Option(help: ArgumentHelp("How probably a message is lost, 0 to 1.", valueName: "p"))
        var drop: Double?

        @Option(help: ArgumentHelp("How probably a message comes twice.", valueName: "p"))
        var duplicate: Double?

        @Option(help: ArgumentHelp("How probably the next message overtakes one.", valueName: "p"))
        var reorder: Double?

        @Option(help: ArgumentHelp("How probably a byte of a message's payload becomes another.", valueName: "p"))
        var damage: Double?

        @Option(help: ArgumentHelp("How much later messages come, milliseconds.", valueName: "ms"))
        var delay: Double?

        @Option(help: ArgumentHelp("By how much a delay varies, up and down, milliseconds.", valueName: "ms"))
        var jitter: Double?

        @Option(
            help: ArgumentHelp(
                "The most bytes a second of each connection and direction, for example 100KB.", valueName: "bytes"),
            transform: parseBytes)
        var bandwidth: Int?

        @Option(
            parsing: .upToNextOption,
            help: ArgumentHelp(
                "The topics whose messages are meant, with + and #; all by default.", valueName: "filter"))
        var topics: [String] = []

        @Option(
            parsing: .upToNextOption,
            help: ArgumentHelp(
                "The clients that are meant, by identifier, or its beginning and a *; all by default.", valueName: "id")
        )
        var clients: [String] = []

        @Option(help: "Messages on their way in to the broker, out of it, or both.")
        var direction = Way.both

        @Option(
            help: ArgumentHelp(
                "Nothing passes, every EVERY seconds for FOR seconds.", valueName: "every,for"))
        var partition: String?

        @Flag(help: "In a partition, reset connections; without this they stay, and bytes wait.")
        var cut = false

        @Option(
            help: ArgumentHelp("A fault plan as JSON; the other options come on top.", valueName: "file"),
            completion: .file())
        var plan: String?

        @Option(help: ArgumentHelp("The same seed and messages give the same faults; 1 by default.", valueName: "n"))
        var seed: UInt64?

        @Option(name: .customLong("for"), help: ArgumentHelp("Stop after so many seconds.", valueName: "seconds"))
        var time = 3600.0

        @Flag(help: "Print the counters as one JSON object.")
        var json = false

        enum Way: String, ExpressibleByArgument, CaseIterable {
            case `in`, out, both

            var direction: Direction? { self == .in ? .toBroker : self == .out ? .fromBroker : nil }
        }

        func validate() throws {
            try checkTime(time)
            guard jitter == nil || delay != nil else { throw ValidationError("--jitter needs --delay") }
            guard topics.isEmpty || [drop, duplicate, reorder, damage, delay].contains(where: { $0 != nil }) else {
                throw ValidationError("--topics needs a fault: --drop, --duplicate, --reorder, --damage or --delay")
            }
            guard !cut || partition != nil else { throw ValidationError("--cut needs --partition") }
        }

        func run() async throws {
            let plan = try faultPlan()
            let (broker, listen, time, json) = (try MQTTAddress(broker), try listener(), time, json)
            try await untilStopped(.usual) {
                let proxy = try ChaosProxy(broker: broker, listen: listen, plan: plan)
                defer { proxy.close() }
                if !json { writeLine(Self.text(proxy.url, broker, plan)) }
                let end = ContinuousClock.now + .seconds(time)
                var before = proxy.counters
                while !Task.isCancelled, ContinuousClock.now < end {
                    try? await Task.sleep(until: min(end, .now + .seconds(10)), clock: .continuous)
                    let counters = proxy.counters
                    if !json, !Task.isCancelled, counters != before { writeLine(Self.line(counters)) }
                    before = counters
                }
                proxy.close()
                let counters = proxy.counters
                writeLine(json ? try jsonLine(counters) : Self.table(counters))
            }
        }

        private func faultPlan() throws -> FaultPlan {
            var result = FaultPlan()
            if let plan {
                let bytes = try FileIO.read(plan, limit: 1 << 20)
                do { result = try JSONDecoder().decode(FaultPlan.self, from: Data(bytes)) } catch {
                    throw CommandError("\(plan) is no fault plan: \(error.reason)")
                }
            }
            if let seed { result.seed = seed }
            if let bandwidth { result.bandwidth = bandwidth }
            let kinds: [(Double?, Fault.Kind)] = [
                (drop, .drop), (damage, .damage(bytes: 1, wholePacket: false)), (duplicate, .duplicate),
                (delay.map { _ in 1 }, .delay(milliseconds: delay ?? 0, jitter: jitter ?? 0)),
                (reorder, .reorder(distance: 1, patience: 100)),
            ]
            for (probability, kind) in kinds {
                guard let probability else { continue }
                result.faults.append(
                    Fault(
                        kind, topics: topics, clients: clients, direction: direction.direction, probability: probability
                    ))
            }
            if let partition {
                let parts = partition.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
                guard parts.count == 2, let every = parts[0], let time = parts[1] else {
                    throw CommandError("--partition is two numbers of seconds, for example 30,5")
                }
                result.partitions.append(
                    .init(start: every, duration: time, period: every, mode: cut ? .cut : .hold, clients: clients))
            }
            try result.validate()
            return result
        }

        private func listener() throws -> MQTTAddress {
            if let port = Int(listen) {
                guard (0...65_535).contains(port) else { throw CommandError("a port is 0 to 65535") }
                return .tcp(host: "127.0.0.1", port: port)
            }
            return try MQTTAddress(listen)
        }

        // MARK: For people

        private static func text(_ url: String, _ broker: MQTTAddress, _ plan: FaultPlan) -> String {
            var lines = ["clients connect to \(url), and from there to \(broker); Ctrl-C stops it"]
            lines += plan.faults.map { "  " + sentence($0) }
            if let bandwidth = plan.bandwidth {
                lines.append("  every connection carries \(byteAmount(bandwidth)) a second in each direction")
            }
            for partition in plan.partitions {
                let often = partition.period.map { ", every \(number($0)) s" } ?? ""
                let what = partition.mode == .cut ? "connections are reset" : "nothing passes"
                lines.append(
                    "  \(what) for \(number(partition.duration)) s from \(number(partition.start)) s on\(often)"
                        + only(partition.clients, "for"))
            }
            if lines.count == 1 { lines.append("  nothing happens to them: see --help for faults") }
            lines.append("  the seed is \(plan.seed)")
            return lines.joined(separator: "\n")
        }

        private static func sentence(_ fault: Fault) -> String {
            let what =
                switch fault.kind {
                case .drop: "are dropped"
                case .duplicate: "come twice"
                case .reorder(let distance, _): "are overtaken by \(distance == 1 ? "the next" : "up to \(distance)")"
                case .damage(let bytes, let wholePacket):
                    "have \(bytes == 1 ? "a byte" : "\(bytes) bytes") damaged\(wholePacket ? ", headers too" : "")"
                case .delay(let milliseconds, let jitter):
                    "come \(number(milliseconds)) ms later\(jitter > 0 ? ", give or take \(number(jitter)) ms" : "")"
                }
            let way =
                switch fault.direction {
                case .toBroker: " on their way to the broker"
                case .fromBroker: " on their way from the broker"
                case nil: ""
                }
            return "\(percent(fault.probability, digits: 1)) of messages \(what)\(way)\(only(fault.topics, "on"))"
                + "\(only(fault.clients, "of"))\(fault.limit.map { ", at most \($0) times" } ?? "")"
        }

        private static func only(_ names: [String], _ word: String) -> String {
            names.isEmpty ? "" : " \(word) \(names.map(Log.printable).joined(separator: ", "))"
        }

        private static func number(_ value: Double) -> String {
            value == value.rounded() ? fixed(value, digits: 0) : fixed(value, digits: 2)
        }

        private static func line(_ counters: ChaosCounters) -> String {
            let both = [counters.toBroker, counters.fromBroker]
            func sum(_ count: KeyPath<LaneCounters, UInt64>) -> UInt64 { both.reduce(0) { $0 + $1[keyPath: count] } }
            return
                "connections: \(counters.open) open, \(counters.cut) cut; messages: \(sum(\.publishes)), \(sum(\.dropped)) dropped, "
                + "\(sum(\.duplicated)) duplicated, \(sum(\.reordered)) reordered, \(sum(\.damaged)) damaged, "
                + "\(sum(\.delayed)) delayed"
        }

        private static func table(_ counters: ChaosCounters) -> String {
            var table = Table(["", "to the broker", "from the broker"], rightAligned: [1, 2])
            let rows: [(String, KeyPath<LaneCounters, UInt64>)] = [
                ("bytes", \.bytes), ("packets", \.packets), ("messages", \.publishes), ("dropped", \.dropped),
                ("duplicated", \.duplicated), ("reordered", \.reordered), ("damaged", \.damaged),
                ("delayed", \.delayed),
            ]
            for (name, count) in rows {
                table.add([
                    name, exact(Int(counters.toBroker[keyPath: count])),
                    exact(Int(counters.fromBroker[keyPath: count])),
                ])
            }
            return table.text
                + "\nconnections: \(counters.connections), \(counters.cut) cut, \(counters.refused) refused"
                + (counters.opaque > 0 ? ", \(counters.opaque) that could not be read" : "")
        }
    }
}
