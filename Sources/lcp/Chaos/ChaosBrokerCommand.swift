import ArgumentParser
import ResilienceTrials

extension ChaosCommand {
    struct Broker: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "broker",
            abstract: "Start a mosquitto that dies and comes back, and has forgotten everything.",
            usage: "lcp chaos broker [<options>]",
            discussion: """
                It is set up as by lcp broker, killed with kill -9 and started again on the same port. After the last time it \
                stays until Ctrl-C.

                Examples:
                  lcp chaos broker --after 30 --down 5
                  lcp chaos broker --port 1884 --after 10 --down 2 --repeat 20
                """)

        @Option(help: ArgumentHelp("The address to listen on; 0.0.0.0 for all.", valueName: "address"))
        var bind = "127.0.0.1"

        @Option(help: "The port; 0 for any free one.")
        var port = 1883

        @Option(help: ArgumentHelp("How long it lives each time.", valueName: "seconds"))
        var after = 30.0

        @Option(help: ArgumentHelp("How long it is gone each time.", valueName: "seconds"))
        var down = 5.0

        @Option(name: .customLong("repeat"), help: ArgumentHelp("How often it dies.", valueName: "n"))
        var rounds = 1

        func validate() throws {
            guard (0...65535).contains(port) else { throw ValidationError("--port is 0 to 65535") }
            for (name, seconds) in [("--after", after), ("--down", down)] where !(0...86_400).contains(seconds) {
                throw ValidationError("\(name) is 0 to 86,400 seconds")
            }
            guard (1...1_000_000).contains(rounds) else { throw ValidationError("--repeat is 1 to 1,000,000") }
        }

        func run() async throws {
            let chaos = BrokerChaos(host: bind, port: port, life: after, pause: down, rounds: rounds)
            try await untilStopped(.usual) {
                try await chaos.run { event in
                    switch event {
                    case .started(let url): writeLine("the broker listens on \(url)")
                    case .killed: writeLine("killed the broker")
                    }
                }
            }
        }
    }
}
