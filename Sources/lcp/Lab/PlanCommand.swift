public import ArgumentParser
public import LCPLab
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

            Examples:
              lcp plan vgg16 --profile rpi3b+ --devices 8
              lcp plan my-net --profile rpi4 --devices 4 --goal frames
              lcp plan alexnet --profile rpi3b+ --devices 8 --mbit 20 --delay 3
            """)

    @Argument(help: "A network of the zoo, or the folder of a bundle of one branch.")
    var network: String

    @Option(help: ArgumentHelp("What the devices are like: see lcp lab profiles.", valueName: "name"))
    var profile: String

    @Option(help: ArgumentHelp("A file of profiles in place of the program's own.", valueName: "file"))
    var profiles: String?

    @Option(help: ArgumentHelp("How many devices there are.", valueName: "n"))
    var devices: Int

    @Option(help: "What is wanted: latency, or frames, as many a second as can be.")
    var goal = Planner.Goal.latency

    @Option(help: ArgumentHelp("The links' rate in place of the profile's, Mbit/s.", valueName: "rate"))
    var mbit: Double?

    @Option(help: ArgumentHelp("The links' delay in place of the profile's, one way.", valueName: "ms"))
    var delay: Double?

    @Option(help: ArgumentHelp("A folder of pictures; synthetic photographs by default.", valueName: "folder"))
    var pictures: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard (1...64).contains(devices) else { throw ValidationError("--devices is 1 to 64") }
        guard (0.1...100_000).contains(mbit ?? 1) else { throw ValidationError("--mbit is 0.1 to 100,000") }
        guard (0...10_000).contains(delay ?? 0) else { throw ValidationError("--delay is 0 to 10,000 ms") }
    }

    private struct Report: Encodable {
        var network: String
        var profile: String
        var pace: LabPace
        var threads: Int
        var best: Planner.Candidate
        var break_even: Planner.BreakEven?
        var candidates: [Planner.Candidate]
    }

    func run() async throws {
        var profile = try DeviceProfile.named(profile, in: profiles)
        if let mbit { profile.link.megabitsPerSecond = mbit }
        if let delay { profile.link.delayMilliseconds = delay }
        let base = try NetworkOptions.whole(network).network
        let (command, chosen) = (self, profile)
        try await untilStopped { try command.plan(base, chosen) }
    }

    private func plan(_ base: Network, _ profile: DeviceProfile) throws {
        let line = ProgressLine()
        line.show(0, "measuring \(profile.benchmark.network)")
        let measured = try PlanMeasurement.measure(
            base, profile, devices: devices, pictures: pictures
        ) { line.show($0, "measuring \($1)") }
        line.clear()
        let planner = measured.planner
        let candidates = planner.candidates(for: goal)
        guard let best = candidates.first(where: { $0.fatten == 0 }) else {
            throw CommandError("\(base.name) cannot be split for \(devices) devices")
        }
        let breakEven = planner.breakEven(best)
        if json {
            return writeLine(
                try jsonLine(
                    Report(
                        network: base.name, profile: profile.label, pace: measured.pace,
                        threads: profile.benchmark.threads, best: best, break_even: breakEven, candidates: candidates)))
        }
        show(base, profile, best, breakEven, candidates)
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
                + "\(number(best.networkMilliseconds)) computing; the most frames are limited by \(best.bottleneck)")
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
