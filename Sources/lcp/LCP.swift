import ArgumentParser
import CVersion
import LCPPipeline
import Platform

@main
struct LCP: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lcp",
        abstract: "Fast neural-network inference on the devices you already own, over MQTT.",
        discussion: """
            A network is split into narrow branches that never talk to each other. Each branch runs on a device of its own; \
            an aggregator joins them. Everything goes through an MQTT broker.

            See it work on this machine:
              lcp demo

            Set this device up for good:
              sudo lcp init

            Or in four terminals:
              lcp broker
              lcp worker                   (on as many machines as there are)
              lcp aggregator
              lcp sensor --source drawn
            """,
        version: version,
        subcommands: subcommands)

    static func main() async {
        // Before there are threads.
        _ = ServiceManager.own
        OpenSSL.prepared
        holdStandardDescriptors()
        LogWriter.install()
        let words = Array(CommandLine.arguments.dropFirst())
        if let suggestion = Arguments.suggestion(words, in: Self.self) {
            writeErrorLine("Error: \(suggestion)")
            Self.exit(withError: ExitCode.validationFailure)
        }
        await main(Arguments.joined(words))
    }

    private static var version: String {
        let commit = String(cString: lcp_commit())
        return LCPVersion.current + (commit.isEmpty ? "" : " (\(commit))")
    }

    private static let subcommands: [any ParsableCommand.Type] = [
        DemoCommand.self, InitCommand.self, SensorCommand.self, WorkerCommand.self, AggregatorCommand.self,
        ModelCommand.self,
        TrainCommand.self, SearchCommand.self, QuantizeCommand.self, PruneCommand.self, ExperimentCommand.self,
        EvaluateCommand.self,
        PredictCommand.self,
        WatchCommand.self,
        StatusCommand.self, TraceCommand.self, ForgetCommand.self, BrokerCommand.self, DoctorCommand.self,
        ConfigCommand.self,
        DataCommand.self,
        BenchCommand.self, LabCommand.self, PlanCommand.self, ChaosCommand.self, HardwareCommand.self,
    ]
}
