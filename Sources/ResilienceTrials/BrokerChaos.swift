import Glibc
import LCPLocal
import LCPWire
import Platform

/// A mosquitto that is killed with `kill -9` and started again, which then knows nothing of before.
public struct BrokerChaos: Sendable {
    public enum Event: Sendable, Hashable {
        case started(url: String)
        case killed
    }

    private let host: String
    private let port: Int
    private let life: Double
    private let pause: Double
    private let rounds: Int

    /// - Parameters:
    ///   - life: seconds from each start to the next death.
    ///   - pause: seconds from each death to the next start.
    ///   - rounds: how often it dies.
    public init(host: String, port: Int, life: Double, pause: Double, rounds: Int) {
        self.host = host
        self.port = port
        self.life = life
        self.pause = pause
        self.rounds = rounds
    }

    /// Runs until the task is cancelled: after the last death and return it stays.
    ///
    /// - Throws: ``PipelineError`` where mosquitto does not start, or ends by itself; `CancellationError`.
    public func run(_ report: (Event) -> Void) async throws {
        let configuration = try BrokerProcess.localConfiguration()
        var chosen = port
        for round in 0...rounds {
            let broker = try BrokerProcess.start(configuration: configuration, host: host, port: chosen)
            // The same one again, also where any free port was asked for.
            chosen = broker.port
            defer { broker.process.stop() }
            report(.started(url: broker.url))
            let death = ContinuousClock.now + .seconds(life)
            while round == rounds || ContinuousClock.now < death {
                if let status = broker.process.poll() {
                    throw PipelineError(.processFailed, "mosquitto ended with status \(status)")
                }
                try await Task.sleep(for: .milliseconds(50))
            }
            kill(broker.process.processID, SIGKILL)
            broker.process.stop()
            report(.killed)
            try await Task.sleep(for: .seconds(pause))
        }
    }
}
