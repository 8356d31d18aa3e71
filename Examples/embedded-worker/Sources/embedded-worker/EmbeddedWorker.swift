import Glibc
import LCPModels
import LCPPipeline
import MQTT

/// A worker inside another program: it runs the branches that its pipeline needs of it.
///
///     embedded-worker mqtt://broker.local kitchen                  the model that was pushed to the pipeline
///     embedded-worker mqtt://broker.local kitchen FOLDER           the model of a folder
@main struct EmbeddedWorker {
    static func main() async {
        let arguments = CommandLine.arguments.dropFirst()
        guard (2...3).contains(arguments.count), let broker = arguments.first else {
            fail("usage: embedded-worker BROKER PIPELINE [MODEL]", status: 64)
        }
        do {
            let configuration = PipelineConfiguration(
                mqtt: MQTTConfiguration(address: try MQTTAddress(broker)), pipeline: arguments.dropFirst().first ?? "")
            let bundle = try arguments.dropFirst(2).first.map { try ModelBundle(path: $0) }
            try await BranchWorker(configuration, bundle: bundle).run()
        } catch {
            fail("\(error)", status: 1)
        }
    }

    private static func fail(_ sentence: String, status: Int32) -> Never {
        _ = "Error: \(sentence)\n".withCString { write(STDERR_FILENO, $0, strlen($0)) }
        exit(status)
    }
}
