import Glibc
import LCPModels
import LCPWire
import MQTT
import Platform

/// Three nodes of RabbitMQ on this machine, started and ended by `Brokers/rabbitmq/cluster.sh`; they end with this process, also
/// where that is killed.
final class RabbitCluster: Sendable {
    static let nodes = 3
    private let script: String
    private let folder: String
    /// Ends the cluster where its standard input ends.
    private let guardian: ChildProcess
    let addresses: [MQTTAddress]

    /// All of them, as `--broker` takes them.
    var url: String {
        addresses.map { "\($0)" }.joined(separator: ",")
    }

    /// Starts the nodes, which takes half a minute, and longer where RabbitMQ has to be fetched first.
    ///
    /// - Parameter folder: for what they write; it is gone when they end.
    /// - Throws: ``PipelineError``: with ``PipelineError/Code/unsuitableBroker`` where RabbitMQ cannot be had here.
    init(in folder: String) async throws {
        guard let script = ShippedFiles.path("Brokers/rabbitmq/cluster.sh") else {
            throw PipelineError(.processFailed, "Brokers/rabbitmq/cluster.sh is missing: it stands beside the program")
        }
        self.script = script
        self.folder = folder
        guardian = try ChildProcess(
            executable: "/bin/sh", arguments: ["-c", "read -r _; \"$0\" stop --data \"$1\"", script, folder],
            errorOutput: .discarded)
        // Seven ports below those that the system gives to whoever asks for any.
        let port = Int.random(in: 20_000..<32_000)
        addresses = (0..<Self.nodes).map { .tcp(host: "127.0.0.1", port: port + $0) }
        let status = try await Self.run(
            script, ["start", "--port", "\(port)", "--bind", "127.0.0.1", "--data", folder])
        guard status == 0 else {
            throw PipelineError(
                status == 77 ? .unsuitableBroker : .processFailed,
                status == 77
                    ? "RabbitMQ is not installed here, and cannot be fetched"
                    : "the cluster did not start: \(script) ended with status \(status)")
        }
    }

    /// Ends a node at once, the first being 1.
    func kill(_ node: Int) async throws { try await perform("kill", node) }

    /// Brings a node back.
    func start(_ node: Int) async throws { try await perform("start", node) }

    /// Ends all nodes, and waits for that.
    func stop() async {
        _ = try? await Self.run(script, ["stop", "--data", folder])
        guardian.stop()
    }

    private func perform(_ verb: String, _ node: Int) async throws {
        let status = try await Self.run(script, [verb, "\(node)", "--data", folder])
        guard status == 0 else { throw PipelineError(.processFailed, "cluster.sh \(verb) \(node): status \(status)") }
    }

    private static func run(_ script: String, _ arguments: [String]) async throws -> Int32 {
        let process = try ChildProcess(executable: script, arguments: arguments)
        while true {
            if let status = process.poll() { return status }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
