public import ArgumentParser
public import LCPLab
import LCPLocal
import LCPModels
import Platform

struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "How to use so many devices for a network: branches, replicas, encodings.",
        usage: "lcp plan <network> --profile <name> --devices <n> [<options>]",
        discussion: """
            The network and its splits are measured on this machine, on one thread, and told as they would be on devices of the \
            profile (lcp lab profiles), with its link. A split has to be trained: how many branches a network bears, and how much \
            wider they have to be, lcp evaluate tells.

            With --rate it tells how many workers, aggregators and brokers so many frames a second need, nobody busy for more than \
            70 % of the time, and from which rate on another one pays: Documentation/scaling.md. What messages cost was measured on \
            two cores of a server; --costs takes what lcp bench growth --json measured, on the machine of broker and aggregators.

            Examples:
              lcp plan vgg16 --profile rpi3b+ --devices 8
              lcp plan lenet --profile rpi4 --devices 8 --rate 5 --pipelines 1000
              lcp plan my-net --profile rpi4 --devices 4 --goal frames
              lcp plan alexnet --profile rpi3b+ --devices 8 --mbit 20 --delay 3
            """)

    @Argument(help: "A network of the zoo, or the folder of a bundle of one branch.", completion: .network)
    var network: String

    @Option(
        help: ArgumentHelp("What the devices are like: see lcp lab profiles.", valueName: "name"), completion: .profile)
    var profile: String

    @Option(
        help: ArgumentHelp("A file of profiles in place of the program's own.", valueName: "file"), completion: .file())
    var profiles: String?

    @Option(help: ArgumentHelp("How many devices there are.", valueName: "n"))
    var devices: Int

    @Option(help: "What is wanted: latency, or frames, as many a second as can be.")
    var goal = Planner.Goal.latency

    @Option(help: ArgumentHelp("The links' rate in place of the profile's, Mbit/s.", valueName: "rate"))
    var mbit: Double?

    @Option(help: ArgumentHelp("The links' delay in place of the profile's, one way.", valueName: "ms"))
    var delay: Double?

    @Option(
        help: ArgumentHelp("A folder of pictures; synthetic photographs by default.", valueName: "folder"),
        completion: .directory)
    var pictures: String?

    @Option(help: ArgumentHelp("How many frames a second there shall be in each pipeline.", valueName: "frames"))
    var rate: Double?

    @Option(help: ArgumentHelp("With --rate: how many such pipelines there are.", valueName: "n"))
    var pipelines = 1

    @Option(help: ArgumentHelp("With --rate: the quality of service of all messages, 0 or 1.", valueName: "qos"))
    var qos = 0

    @Option(help: ArgumentHelp("With --rate: the link of a broker's machine, Mbit/s.", valueName: "rate"))
    var brokerMbit = 1000.0

    @Option(help: ArgumentHelp("A file that lcp bench growth --json wrote.", valueName: "file"), completion: .file())
    var costs: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard (1...64).contains(devices) else { throw ValidationError("--devices is 1 to 64") }
        guard (0.1...100_000).contains(mbit ?? 1) else { throw ValidationError("--mbit is 0.1 to 100,000") }
        guard (0...10_000).contains(delay ?? 0) else { throw ValidationError("--delay is 0 to 10,000 ms") }
        guard (0.001...1_000_000).contains(rate ?? 1) else { throw ValidationError("--rate is 0.001 to 1,000,000") }
        guard (1...1_000_000).contains(pipelines) else { throw ValidationError("--pipelines is 1 to 1,000,000") }
        guard (0...1).contains(qos) else { throw ValidationError("--qos is 0 or 1") }
        guard (0.1...1_000_000).contains(brokerMbit) else {
            throw ValidationError("--broker-mbit is 0.1 to 1,000,000")
        }
        guard rate != nil || (pipelines == 1 && qos == 0 && brokerMbit == 1000) else {
            throw ValidationError("--pipelines, --qos and --broker-mbit need --rate")
        }
    }

    private struct Report: Encodable {
        var network: String
        var profile: String
        var pace: LabPace
        var threads: Int
        var best: Planner.Candidate
        var break_even: Planner.BreakEven?
        var candidates: [Planner.Candidate]
        var needs: Growth.Needs?
        var messages_measured_on: String
    }

    func run() async throws {
        var profile = try DeviceProfile.named(profile, in: profiles)
        if let mbit { profile.link.megabitsPerSecond = mbit }
        if let delay { profile.link.delayMilliseconds = delay }
        let base = try NetworkOptions.whole(network).network
        let costs = try costs.map { try FrameCosts(path: $0) } ?? .usual
        let (command, chosen) = (self, profile)
        try await untilStopped { try command.plan(base, chosen, costs) }
    }

    private func plan(_ base: Network, _ profile: DeviceProfile, _ costs: FrameCosts) throws {
        let line = ProgressLine()
        line.show(0, "measuring \(profile.benchmark.network)")
        let measured = try PlanMeasurement.measure(
            base, profile, devices: devices, pictures: pictures
        ) { line.show($0, "measuring \($1)") }
        line.clear()
        var planner = measured.planner
        planner.costs = costs
        let candidates = planner.candidates(for: goal)
        guard let best = candidates.first(where: { $0.fatten == 0 }) else {
            throw CommandError("\(base.name) cannot be split for \(devices) devices")
        }
        let breakEven = planner.breakEven(best)
        let needs = rate.map { rate in
            Growth(
                costs: costs, frame: best.frame, workMilliseconds: best.decodeMilliseconds + best.networkMilliseconds,
                brokerMegabitsPerSecond: brokerMbit
            ).needs(.init(pipelines: pipelines, framesPerSecond: rate, isAcknowledged: qos == 1))
        }
        if json {
            return writeLine(
                try jsonLine(
                    Report(
                        network: base.name, profile: profile.label, pace: measured.pace,
                        threads: profile.benchmark.threads, best: best, break_even: breakEven, candidates: candidates,
                        needs: needs, messages_measured_on: costs.machine)))
        }
        show(base, profile, best, breakEven, candidates)
        if let needs, let rate { show(needs, rate, costs) }
    }

    private func show(_ needs: Growth.Needs, _ rate: Double, _ costs: FrameCosts) {
        let many = pipelines == 1 ? "" : " in each of \(pipelines) pipelines"
        writeLine(
            "\n\(fixed(rate, digits: 1)) frames a second\(many), nothing busy for more than "
                + "\(percent(Growth.limit, digits: 0)) of the time, so that no queue gets long\n")
        var table = Table(
            ["", "needed", "busy", pipelines == 1 ? "enough for frames/s" : "enough for frames/s in each"],
            rightAligned: [1, 2, 3])
        for (name, need) in [
            ("workers", needs.workers), ("aggregators", needs.aggregators), ("brokers", needs.brokers),
        ] {
            table.add([
                name, "\(need.count)", percent(need.utilisation, digits: 1), fixed(need.enoughFor, digits: 1),
            ])
        }
        writeLine(table.text)
        writeLine(
            "\nA broker has \(needs.connections) connections, \(fixed(needs.memoryMiB, digits: 1)) MiB for them, and sends "
                + "\(fixed(needs.megabitsPerSecond, digits: 2)) of \(fixed(brokerMbit, digits: 0)) Mbit/s"
                + (needs.limitedByLink ? ": its link fills before its processor." : "."))
        if needs.workers.count > devices * pipelines {
            writeLine("These are more workers than the \(devices * pipelines) devices: fewer frames, or more devices.")
        }
        writeLine("Messages as measured on \(costs.machine); lcp bench growth --json measures yours, for --costs.")
    }

    private func show(
        _ base: Network, _ profile: DeviceProfile, _ best: Planner.Candidate, _ breakEven: Planner.BreakEven?,
        _ candidates: [Planner.Candidate]
    ) {
        func number(_ value: Double) -> String { fixed(value, digits: 1) }
        writeLine(
            "\(base.name) on \(devices) devices, \(profile.label), \(fixed(profile.link.megabitsPerSecond, digits: 2)) Mbit/s, "
                + "\(fixed(profile.link.delayMilliseconds, digits: 2)) ms one way\n")
        let words = best.branches == 1 ? "the whole network" : "\(best.branches) branches"
        writeLine(
            "\(words) with \(best.replicas) worker\(best.replicas == 1 ? "" : "s") each, frames as \(best.encoding), "
                + "numbers as \(best.features), \(profile.benchmark.threads) threads: \(number(best.latencyMilliseconds)) ms, up to "
                + "\(number(best.framesPerSecond)) frames a second")
        writeLine(
            "  of that \(number(best.linkMilliseconds)) ms on the links, \(number(best.decodeMilliseconds)) decoding, "
                + "\(number(best.networkMilliseconds)) computing; at the most frames \(best.bottleneck) has no pause")
        if let original = breakEven?.originalMilliseconds {
            writeLine(
                "  \(best.branches) branches are sooner than one device from \(number(original)) ms of computing on one on"
            )
        }
        if let rate = breakEven?.megabitsPerSecond {
            writeLine("  and, for \(base.name), on links from \(fixed(rate, digits: 2)) Mbit/s on")
        }
        writeLine("")
        var table = Table(
            ["branches", "wider", "workers", "latency ms", "links", "decode", "compute", "frames/s", "limited by"],
            rightAligned: Set(0...7), optional: [8, 4, 5])
        for candidate in candidates
        where candidate.encoding == best.encoding && candidate.features == best.features {
            table.add([
                "\(candidate.branches)", candidate.fatten > 0 ? "\(candidate.fatten) %" : "",
                "\(candidate.branches * candidate.replicas)", number(candidate.latencyMilliseconds),
                number(candidate.linkMilliseconds), number(candidate.decodeMilliseconds),
                number(candidate.networkMilliseconds), number(candidate.framesPerSecond), candidate.bottleneck,
            ])
        }
        writeLine(table.text)
    }
}

extension Planner.Goal: ExpressibleByArgument {}
