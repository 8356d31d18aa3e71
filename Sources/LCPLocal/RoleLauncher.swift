import Glibc
import LCPSettings
package import LCPWire
package import MQTT
package import Platform

/// Starts a pipeline's roles as processes of this machine: one way for the demo, the benchmark, trials and tests.
package struct RoleLauncher: Sendable {
    /// The program `lcp`.
    package var executable: String
    /// The broker.
    package var url: String
    package var pipeline: String
    /// A program that runs the other, and its arguments before those: empty where it runs by itself.
    package var wrapper: [String]

    /// - Parameter cache: where roles keep models; where all programs of this user do where nil.
    package init(
        executable: String, url: String, pipeline: String, wrapper: [String] = [], cache: String? = nil
    ) {
        self.executable = executable
        self.url = url
        self.pipeline = pipeline
        self.wrapper = wrapper + (cache.map { ["/usr/bin/env", "LCP_CACHE=\($0)"] } ?? [])
    }

    /// Starts a role. It ends with this process, and is told nothing by this process's environment.
    ///
    /// - Parameters:
    ///   - arguments: options besides those of the connection, the pipeline and the name.
    ///   - url: where this role finds the broker, for example a proxy before it; nil for ``url``.
    ///   - errorOutput: where its log goes.
    /// - Throws: ``ProcessError``.
    package func start(
        _ role: Role, _ name: String, _ arguments: [String] = [], url: String? = nil,
        errorOutput: ChildProcess.Output = .discarded
    ) throws(ProcessError) -> ChildProcess {
        let command =
            wrapper + [
                executable, role.rawValue, "--broker", url ?? self.url, "--pipeline", pipeline, "--name", name,
                "--stop-at-eof",
            ] + arguments
        return try ChildProcess(
            executable: command[0], arguments: Array(command[1...]), errorOutput: errorOutput,
            hiding: Setting.environmentVariables)
    }

    /// Waits until so many roles have said that they are ready.
    ///
    /// - Parameter statuses: a subscription to the statuses of a pipeline, from before they were started; it ends where the
    ///   time is over.
    /// - Throws: ``PipelineError`` where they are not ready in time.
    package static func waitUntilReady(_ count: Int, _ statuses: MQTTSubscription, seconds: Int = 30) async throws {
        let watchdog = Task {
            try await Task.sleep(for: .seconds(seconds))
            statuses.unsubscribe()
        }
        defer { watchdog.cancel() }
        var ready: Set<String> = []
        for try await message in statuses {
            guard let status = RoleStatus(message.payload), status.state == .ready else { continue }
            ready.insert("\(status.role.rawValue)/\(status.id)")
            if ready.count >= count { return }
        }
        throw PipelineError(
            .timedOut, "\(ready.count) of \(count) roles were ready after \(seconds) s: \(ready.sorted())")
    }
}
