import ArgumentParser
import LCPPipeline
import LCPSensor
import LCPSettings
import LCPWire
import Platform

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "See which settings hold.", subcommands: [Show.self])

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show",
            abstract: "Print the settings of a pipeline, and where each comes from.",
            discussion: """
                It takes the options of all roles. Later wins over earlier: what is built in, the pipeline file, the \
                environment, the options. A password is never shown, only the file that it is in.

                Examples:
                  lcp config show --config Configs/pipelines/kitchen.yaml
                  lcp config show worker --branch 2
                  LCP_QOS=1 lcp config show --json
                """)

        @Argument(
            help: "Leave out what only the other roles read: sensor, worker or aggregator.",
            completion: .list(["sensor", "worker", "aggregator"]))
        var role: String?

        @OptionGroup var common: RoleOptions
        @OptionGroup var model: ModelOptions
        @OptionGroup var branch: BranchOptions
        @OptionGroup var deadline: DeadlineOptions
        @OptionGroup var events: EventOptions
        @OptionGroup var log: LogOptions
        @OptionGroup var frames: FrameOptions

        @Option(help: ArgumentHelp("The name of the role.", valueName: "id"))
        var name: String?

        @Flag(help: "Print one JSON object.")
        var json = false

        private var chosen: Role? { role.flatMap(Role.init) }

        func validate() throws {
            if let role, chosen == nil {
                throw ValidationError(
                    "\(role.debugDescription) is no role: write \(Role.allCases.map(\.rawValue).joined(separator: ", "))"
                )
            }
            guard name == nil || chosen != nil else {
                throw ValidationError("--name needs a role in front of it: lcp config show worker --name …")
            }
        }

        private struct Report: Encodable {
            struct Line: Encodable {
                var setting: String
                var value: SettingValue?
                var from: String
                var place: String
            }
            var file: String?
            var settings: [Line]
        }

        func run() throws {
            var given = model.given + branch.given + deadline.given + events.given + log.given + frames.given
            if let name, let chosen { given[Setting.name(of: chosen)] = name }
            let settings = try common.settings(given)
            let entries = settings.entries.filter { entry in
                chosen == nil || entry.setting.role == nil || entry.setting.role == chosen
            }
            if json {
                let lines = entries.map {
                    Report.Line(
                        setting: $0.setting.rawValue, value: $0.value.map(Self.shown), from: Self.word($0.origin),
                        place: $0.origin.description)
                }
                return writeLine(try jsonLine(Report(file: settings.file, settings: lines)))
            }
            var table = Table(["setting", "value", "from"])
            for entry in entries {
                table.add([
                    entry.setting.rawValue, entry.value.map { Log.printable(Self.shown($0).description) } ?? "–",
                    Log.printable(entry.origin.description),
                ])
            }
            writeLine(table.text)
        }

        /// A value without a password: a camera's address may have one.
        private static func shown(_ value: SettingValue) -> SettingValue {
            guard case .text(let text) = value, let camera = CameraAddress(text), [.stream, .web].contains(camera.kind)
            else { return value }
            return .text(camera.printable)
        }

        private static func word(_ origin: SettingOrigin) -> String {
            switch origin {
            case .builtIn: "default"
            case .file: "file"
            case .environment: "environment"
            case .option: "option"
            }
        }
    }
}
