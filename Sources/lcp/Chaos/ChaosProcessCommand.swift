import ArgumentParser
import FaultInjection

extension ChaosCommand {
    struct ProcessFaults: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "process",
            abstract: "Kill processes, or pause and continue them.",
            usage: "lcp chaos process --pid <number> --signal <signal> [<options>]",
            discussion: """
                A paused process is continued in any case, also when this command is interrupted or killed. With --seed, \
                every round takes one process by chance, after a wait by chance of up to twice --after.

                Examples:
                  lcp chaos process --pid 4711 --signal pause --for 10
                  lcp chaos process --pid 4711 --pid 4712 --signal pause --for 2 \\
                      --after 5 --repeat 20 --seed 1
                  lcp chaos process --pid 4711 --signal kill --after 5
                """)

        @Option(help: ArgumentHelp("A process; may be given several times.", valueName: "number"))
        var pid: [Int32] = []

        @Option(help: "kill: SIGKILL. pause: SIGSTOP, and SIGCONT after a while.")
        var signal: Signal

        @Option(name: .customLong("for"), help: ArgumentHelp("How long a pause lasts.", valueName: "seconds"))
        var time: Double?

        @Option(help: ArgumentHelp("How long to wait before each round.", valueName: "seconds"))
        var after = 0.0

        @Option(name: .customLong("repeat"), help: ArgumentHelp("How many rounds there are.", valueName: "n"))
        var rounds = 1

        @Option(help: ArgumentHelp("Take one process a round, by chance.", valueName: "n"))
        var seed: UInt64?

        enum Signal: String, ExpressibleByArgument, CaseIterable {
            case kill, pause
        }

        func validate() throws {
            guard !pid.isEmpty else { throw ValidationError("--pid is missing: name a process") }
            guard signal == .kill || time != nil else { throw ValidationError("--signal pause needs --for") }
            guard signal == .pause || time == nil else { throw ValidationError("--for belongs to --signal pause") }
        }

        func run() async throws {
            let fault = ProcessFault(
                signal == .kill ? .kill : .pause, processes: pid, after: after, duration: time ?? 0, rounds: rounds,
                seed: seed)
            try await untilStopped(.usual) {
                try await ProcessChaos(fault).run { event in
                    switch event {
                    case .killed(let process): writeLine("killed process \(process)")
                    case .paused(let process): writeLine("paused process \(process)")
                    case .resumed(let process): writeLine("continued process \(process)")
                    case .gone(let process): writeLine("process \(process) has ended")
                    }
                }
            }
        }
    }
}
