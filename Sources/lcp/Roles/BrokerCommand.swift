import ArgumentParser
import LCPLocal
import LCPWire
import Platform

struct BrokerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "broker",
        abstract: "Start a mosquitto in the foreground, set up for a pipeline.",
        discussion: """
            It uses Brokers/local/mosquitto.conf: no passwords, small messages sent at once, and what is retained outlives a \
            restart, in ~/.local/state/lcp/broker-PORT. For users, access lists and TLS see Brokers/tls.

            Examples:
              lcp broker                       for this machine
              lcp broker --bind 0.0.0.0        for everybody who reaches this machine
              lcp broker --port 1884
            """)

    @Option(help: ArgumentHelp("The address to listen on; 0.0.0.0 for all.", valueName: "address"))
    var bind = "127.0.0.1"

    @Option(help: "The port; 0 for any free one.")
    var port = 1883

    @Flag(help: "Stop when standard input ends, for a program that starts this one and may be killed.")
    var stopAtEOF = false

    @Flag(help: "Leave out mosquitto's log.")
    var quiet = false

    @Flag(help: "Forget everything in the end, and write nothing to disk.")
    var memoryOnly = false

    func validate() throws {
        guard (0...65535).contains(port) else { throw ValidationError("--port is 0 to 65535") }
    }

    func run() async throws {
        var folder: String?
        do { if !memoryOnly, port != 0 { folder = try BrokerProcess.makeKeptFolder(port: port) } } catch {
            writeErrorLine("what is retained will not outlive this broker: \(error)")
        }
        let configuration = try BrokerProcess.localConfiguration(keptIn: folder)
        let (bind, port, quiet) = (bind, port, quiet)
        try await untilStopped(.usual, atEOF: stopAtEOF) {
            let broker = try BrokerProcess.start(
                configuration: configuration, host: bind, port: port, isQuiet: quiet)
            defer { broker.process.stop() }
            writeLine("the broker listens on \(broker.url); Ctrl-C stops it")
            ServiceManager.own?.ready("listens on \(broker.url)")
            defer { ServiceManager.own?.stopping() }
            if bind != "127.0.0.1", bind != "::1", bind != "localhost" {
                writeLine(
                    "everybody who reaches this machine may publish and subscribe: Brokers/tls asks for passwords")
            }
            while broker.process.poll() == nil { try await Task.sleep(for: .milliseconds(200)) }
            if let status = broker.process.poll(), !Task.isCancelled {
                throw CommandError("mosquitto ended with status \(status)")
            }
        }
    }
}
