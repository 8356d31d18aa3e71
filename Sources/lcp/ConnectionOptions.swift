import ArgumentParser
import Glibc
import LCPPipeline
import MQTT
import Tensors

/// The options that every command with a broker takes.
struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The broker's address: mqtt://HOST[:PORT], mqtts://HOST[:PORT] or unix:/PATH.", valueName: "url"))
    var broker = "mqtt://localhost"

    @Option(help: ArgumentHelp("The user that the broker asks for.", valueName: "name"))
    var user: String?

    @Option(help: ArgumentHelp("A file whose first line is the password.", valueName: "file"))
    var passwordFile: String?

    @Option(
        name: .customLong("cafile"),
        help: ArgumentHelp("The certificates to trust with mqtts://, PEM; the system's by default.", valueName: "file"))
    var certificateAuthorityFile: String?

    @Option(help: ArgumentHelp("This client's certificate, PEM.", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("This client's private key, PEM.", valueName: "file"))
    var key: String?

    @Flag(name: .customLong("mqtt3"), help: "Speak MQTT 3.1.1 in place of 5.")
    var usesVersion3 = false

    func validate() throws {
        guard passwordFile == nil || user != nil else { throw ValidationError("--password-file needs --user") }
        guard (cert == nil) == (key == nil) else { throw ValidationError("--cert and --key belong together") }
    }

    /// The client's configuration.
    func mqtt() throws -> MQTTConfiguration {
        var configuration = MQTTConfiguration(address: try MQTTAddress(broker))
        configuration.user = user
        if let passwordFile {
            let bytes: [UInt8]
            do { bytes = try FileIO.read(passwordFile, limit: 65_536) } catch {
                throw PipelineError("there is no password: \(error)")
            }
            configuration.password = String(
                decoding: bytes.prefix { $0 != 0x0A && $0 != 0x0D && $0 != 0 }, as: UTF8.self)
        }
        configuration.tls = .init(
            certificateAuthorityFile: certificateAuthorityFile, certificateFile: cert, keyFile: key)
        if usesVersion3 { configuration.protocolVersion = .v311 }
        return configuration
    }

    /// The options as arguments, for a child process.
    var arguments: [String] {
        var result = ["--broker", broker]
        for (name, value) in [
            ("--user", user), ("--password-file", passwordFile), ("--cafile", certificateAuthorityFile),
            ("--cert", cert), ("--key", key),
        ] {
            if let value { result += [name, value] }
        }
        return usesVersion3 ? result + ["--mqtt3"] : result
    }
}

/// The options that every role takes.
struct RoleOptions: ParsableArguments {
    @OptionGroup var connection: ConnectionOptions

    @Option(help: "The pipeline's name: all roles with the same name work together.")
    var pipeline = "demo"

    @Option(help: "The first level of all topics.")
    var prefix = "lcp"

    @Option(help: "Quality of service of inputs, features and predictions: 0, 1 or 2.")
    var qos = 0

    @Flag(help: "Stop when standard input ends, for a program that starts this one and may be killed.")
    var stopAtEOF = false

    func configuration() throws -> PipelineConfiguration {
        guard let qos = QoS(rawValue: Int32(clamping: qos)) else { throw ValidationError("--qos is 0, 1 or 2") }
        var configuration = PipelineConfiguration(mqtt: try connection.mqtt(), pipeline: pipeline)
        configuration.prefix = prefix
        configuration.qos = qos
        return configuration
    }

    /// Runs a role until it ends, a signal comes, or standard input ends where that was asked for.
    func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await untilStopped(atEOF: stopAtEOF, body)
    }
}
