import ArgumentParser
import Glibc
import LCPInference
import LCPModels
import LCPWire
import MQTT
import Platform
import Synchronization

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check this machine and a broker, and say what to do.",
        usage: "lcp doctor [<options>]",
        discussion: """
            Examples:
              lcp doctor
              lcp doctor --config Configs/pipelines/kitchen.yaml
              lcp doctor --broker mqtts://broker.local --cafile ca.crt \\
                  --user pi --password-file password
            """)

    @OptionGroup var connection: ConnectionOptions

    @Flag(help: "Leave out the broker.")
    var offline = false

    @Flag(help: "Print one JSON object.")
    var json = false

    struct Check: Encodable {
        enum Result: String, Encodable { case good, warning, bad }
        var name: String
        var result: Result
        var detail: String
        var advice: String?
    }

    private struct Report: Encodable { var checks: [Check] }

    func run() async throws {
        let command = self
        try await untilStopped { try await command.examine() }
    }

    private func examine() async throws {
        let settings = try connection.settings()
        var checks = Self.machine()
        if !offline {
            do { checks += try await BrokerExamination.run(try settings.mqtt(), prefix: settings.prefix) } catch let
                error as MQTTError
            {
                checks.append(
                    Check(
                        name: "broker", result: .bad, detail: error.description,
                        advice: error.code == .unreachable
                            ? "start one with `lcp broker`, or name yours with --broker mqtt://HOST" : nil))
            }
        }
        // What a signal cut short is no finding.
        try Task.checkCancellation()
        if json {
            writeLine(try jsonLine(Report(checks: checks)))
        } else {
            let colours = takesColours(STDOUT_FILENO)
            for check in checks {
                let (mark, colour) =
                    switch check.result {
                    case .good: ("ok  ", 32)
                    case .warning: ("warn", 33)
                    case .bad: ("BAD ", 31)
                    }
                writeLine("\(colours ? "\u{1B}[\(colour)m\(mark)\u{1B}[0m" : mark)  \(check.name): \(check.detail)")
                if let advice = check.advice { writeLine("      → \(advice)") }
            }
        }
        if checks.contains(where: { $0.result == .bad }) { throw ExitCode.failure }
    }

    // MARK: The machine

    private static func machine() -> [Check] {
        var checks: [Check] = []
        checks.append(
            ChildProcess.find("mosquitto").map { Check(name: "mosquitto", result: .good, detail: $0) }
                ?? Check(
                    name: "mosquitto", result: .warning, detail: "not on this machine",
                    advice: "only the machine with the broker needs it: sudo apt install mosquitto"))
        for count in [1, 2, 4, 8] {
            let name = "lenet-split\(count)"
            do {
                let bundle = try ModelBundle.find(name)
                var total = Duration.zero
                for branch in bundle.network.branches.indices {
                    total += try BranchEngine(bundle: bundle, branch: branch).measure()
                }
                _ = try bundle.mergeParameters()
                let each = total.milliseconds * 1000 / Double(bundle.network.branches.count)
                checks.append(
                    Check(
                        name: "model \(name)", result: .good,
                        detail:
                            "\(bundle.network.branches.count) × \(fixed(each, digits: 1)) µs on one core, at \(bundle.path)"
                    ))
            } catch {
                checks.append(
                    Check(name: "model \(name)", result: .bad, detail: "\(error)", advice: "install lcp again"))
            }
        }
        let cores = Processors.available
        checks.append(
            Check(name: "cores", result: .good, detail: "\(cores): that many branches can run here at the same time"))
        return checks
    }
}
