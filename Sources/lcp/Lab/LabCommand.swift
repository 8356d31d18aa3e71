import ArgumentParser
import LCPLab
import LCPModels
import MQTT
import Platform

struct LabCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab",
        abstract: "Emulate small devices on this machine: their links, their memory, their slowness.",
        discussion: """
            A device is a network namespace with a link of its profile's rate, so it needs root. Broker, aggregator and sensor are \
            devices, too, with a link only. What is measured here is emulated: the messages, the networks and all programs are \
            real, the slowness of the devices is made.

            Examples:
              lcp lab up --profile rpi3b+ --devices 8
              lcp lab status
              lcp lab exec broker -- mosquitto -c mosquitto.conf
              lcp lab exec 1 -- lcp worker --broker mqtt://10.77.0.1 --slowness 11
              lcp lab down
              lcp experiment Configs/experiments/speedup.json --out results/speedup
            """,
        subcommands: [
            Up.self, Down.self, Status.self, Exec.self, Profiles.self, Relay.self, Load.self, Share.self,
            ShareLoad.self,
        ])
}

struct LabName: ParsableArguments {
    @Option(help: ArgumentHelp("The lab's name, where there are several.", valueName: "name"))
    var name = "lab"
}

extension LabCommand {
    struct Up: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "up", abstract: "Make emulated devices; they stay until lcp lab down.",
            usage: "lcp lab up --profile <name> --devices <n> [<options>]",
            discussion: """
                Examples:
                  lcp lab up --profile rpi3b+ --devices 8
                  lcp lab up --profile rpi4 --devices 4 --shared
                  lcp lab up --profile t2.micro --devices 8 --dilation 8
                """)

        @Option(
            help: ArgumentHelp("What the devices are like: see lcp lab profiles.", valueName: "name"),
            completion: .profile)
        var profile: String

        @Option(
            help: ArgumentHelp("A file of profiles in place of the program's own.", valueName: "file"),
            completion: .file())
        var profiles: String?

        @Option(help: ArgumentHelp("How many devices compute.", valueName: "n"))
        var devices: Int

        @Flag(help: "One medium for all devices, as of one radio; otherwise each has a link of its own.")
        var shared = false

        @Option(
            help: ArgumentHelp(
                "Let everything take so many times as long, where devices are too fast to be emulated otherwise.",
                valueName: "times"))
        var dilation = 1.0

        @OptionGroup var lab: LabName

        @Flag(help: "Print one JSON object.")
        var json = false

        func validate() throws {
            guard (1...1000).contains(dilation) else { throw ValidationError("--dilation is 1 to 1000") }
        }

        func run() async throws {
            let profile = try DeviceProfile.named(profile, in: profiles)
            // Before a second is spent on measuring.
            try Lab.check(name: lab.name)
            let command = self
            try await untilStopped {
                let lab = try await Lab.up(
                    profile, try .measure(profile, dilation: command.dilation), name: command.lab.name,
                    devices: command.devices, isShared: command.shared, lcp: try ownProgram())
                try Status.show(lab, json: command.json)
            }
        }
    }

    struct Down: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "down", abstract: "End a lab and everything in it, also what a crash left behind.",
            usage: "lcp lab down [--name <name>]")

        @OptionGroup var lab: LabName

        func run() async throws {
            writeLine(try Lab.down(name: lab.name) ? "the lab is down" : "there is no lab\(Lab.others(than: lab.name))")
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "status", abstract: "Show what is up, and what its devices have sent and received.",
            usage: "lcp lab status [--name <name>] [--json]")

        @OptionGroup var lab: LabName

        @Flag(help: "Print one JSON object.")
        var json = false

        private struct Report: Encodable {
            var label: String
            var pace: LabPace
            var links: LinkCheck?
            var devices: [Lab.DeviceStatus]
        }

        func run() async throws {
            try Self.show(try Lab.current(name: lab.name), json: json)
        }

        static func show(_ lab: Lab, json: Bool) throws {
            if json {
                return writeLine(
                    try jsonLine(
                        Report(label: lab.label, pace: lab.pace, links: lab.check, devices: try lab.status())))
            }
            writeLine(text(lab))
            writeLine("")
            writeLine(try table(lab).text)
        }

        static func text(_ lab: Lab) -> String {
            let (profile, pace) = (lab.profile, lab.pace)
            var lines = [
                "\(lab.layout.devices) devices, \(lab.label) (\(profile.title))",
                "  slowness  \(fixed(pace.slowness, digits: 2)): \(profile.benchmark.network) takes "
                    + "\(fixed(profile.benchmark.milliseconds, digits: 1)) ms there and "
                    + "\(fixed(pace.benchmarkMilliseconds, digits: 2)) ms on one thread here",
                "  links     \(fixed(profile.link.megabitsPerSecond, digits: 2)) Mbit/s, "
                    + (lab.layout.isShared ? "one medium for all" : "each its own")
                    + ", \(fixed(profile.link.delayMilliseconds, digits: 2)) ms one way",
            ]
            if let check = lab.check {
                lines.append(
                    "            10 kB alone take \(fixed(check.measuredMilliseconds, digits: 3)) ms, and should take "
                        + "\(fixed(check.expectedMilliseconds, digits: 3)) ms")
            }
            lines.append("  memory    \(profile.memoryMiB) MiB each")
            return lines.joined(separator: "\n")
        }

        static func table(_ lab: Lab) throws -> Table {
            var table = Table(
                ["device", "address", "processes", "sent kB", "received kB", "peak MiB"], rightAligned: [2, 3, 4, 5])
            for device in try lab.status() {
                table.add([
                    device.device, device.address, "\(device.processes)",
                    fixed(Double(device.sentBytes) / 1000, digits: 1),
                    fixed(Double(device.receivedBytes) / 1000, digits: 1),
                    device.peakMiB.map { fixed($0, digits: 1) } ?? "",
                ])
            }
            return table
        }
    }

    struct Exec: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "exec", abstract: "Run a program on an emulated device.",
            usage: "lcp lab exec <device> -- <program> [<arguments>]",
            discussion: """
                A device is 1, 2, …, broker, aggregator or sensor. The program has its link and its memory; a worker's slowness is \
                an option of its own.

                Examples:
                  lcp lab exec 3 -- ip addr
                  lcp lab exec 1 -- lcp worker --broker mqtt://10.77.0.1 --slowness 11
                """)

        @OptionGroup var lab: LabName

        @Argument(help: "The device.")
        var device: String

        @Argument(parsing: .postTerminator, help: "The program and its arguments.")
        var command: [String] = []

        func run() async throws {
            let lab = try Lab.current(name: lab.name)
            guard let place = LabDevice(device), lab.layout.all.contains(place) else {
                throw CommandError(
                    "there is no device \(device.debugDescription): there are 1 to \(lab.layout.devices), broker, "
                        + "aggregator and sensor")
            }
            guard !command.isEmpty else { throw CommandError("name a program behind --") }
            if let obstacle = Lab.obstacle { throw CommandError(obstacle) }
            throw CommandError(lab.become(command, on: place))
        }
    }

    struct Profiles: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "profiles",
            abstract: "Show the devices that can be emulated, and where their figures come from.",
            usage: "lcp lab profiles [--json]")

        @Flag(help: "Print one JSON array.")
        var json = false

        func run() async throws {
            let profiles = try DeviceProfile.shipped()
            if json { return writeLine(try jsonLine(profiles)) }
            for profile in profiles {
                let (link, benchmark, power) = (profile.link, profile.benchmark, profile.power)
                writeLine("\(profile.name): \(profile.title), \(profile.cores) cores, \(profile.memoryMiB) MiB")
                writeLine(
                    "  \(benchmark.network) in \(fixed(benchmark.milliseconds, digits: 1)) ms on \(benchmark.threads) threads: "
                        + benchmark.source)
                writeLine(
                    "  \(fixed(link.megabitsPerSecond, digits: 2)) Mbit/s, \(fixed(link.delayMilliseconds, digits: 2)) ms: "
                        + link.source)
                writeLine(
                    "  \(fixed(power.idleWatts, digits: 2)) W idle, \(fixed(power.busyWatts, digits: 2)) W busy: "
                        + power.source)
            }
        }
    }
}
