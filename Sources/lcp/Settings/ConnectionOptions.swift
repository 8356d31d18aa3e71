import ArgumentParser
import LCPSettings

/// The options that every command with a broker takes. What is not given comes from the environment, a pipeline file or the
/// defaults: ``Settings`` decides.
struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A pipeline file, as in Configs/pipelines; the one that LCP_CONFIG names by default. `lcp config show` tells more.",
            valueName: "file"), completion: .file())
    var config: String?

    @Option(
        help: .setting(
            .broker,
            "The broker's address: mqtt://HOST[:PORT], mqtts://HOST[:PORT] or unix:/PATH; of a cluster, its nodes with commas between them.",
            valueName: "url"))
    var broker: String?

    @Option(help: .setting(.user, "The user that the broker asks for.", valueName: "name"))
    var user: String?

    @Option(
        help: .setting(.passwordFile, "A file whose first line is the password.", valueName: "file"),
        completion: .file())
    var passwordFile: String?

    @Option(
        name: .customLong("cafile"),
        help: .setting(
            .certificateAuthorityFile, "The certificates to trust with mqtts://, PEM; the system's by default.",
            valueName: "file"), completion: .file())
    var certificateAuthorityFile: String?

    @Option(help: .setting(.certificate, "This client's certificate, PEM.", valueName: "file"), completion: .file())
    var cert: String?

    @Option(help: .setting(.certificateKey, "This client's private key, PEM.", valueName: "file"), completion: .file())
    var key: String?

    @Flag(name: .customLong("mqtt3"), inversion: .prefixedNo, help: "Speak MQTT 3.1.1 in place of 5.")
    var usesVersion3: Bool?

    /// What was given, by setting.
    var given: [Setting: String] {
        .init(given: [
            .broker: broker, .user: user, .passwordFile: passwordFile,
            .certificateAuthorityFile: certificateAuthorityFile, .certificate: cert, .certificateKey: key,
            .usesVersion3: usesVersion3.map { "\($0)" },
        ])
    }

    /// The settings that hold.
    ///
    /// - Parameter options: what was given besides the connection's options.
    func settings(_ options: [Setting: String] = [:]) throws -> Settings {
        try Settings.load(file: config, options: given + options)
    }
}

extension ArgumentHelp {
    /// The help of an option that may be left out, with the environment variable and the default.
    static func setting(_ setting: Setting, _ text: String, valueName: String? = nil) -> ArgumentHelp {
        let ways = [setting.environmentVariable, setting.defaultValue.map { "default: \($0)" }].compactMap(\.self)
        return ArgumentHelp(
            "\(text)\(ways.isEmpty ? "" : " (\(ways.joined(separator: "; ")))")", valueName: valueName)
    }
}

extension [Setting: String] {
    /// Those of the options that were given.
    init(given options: [Setting: String?]) { self = options.compactMapValues(\.self) }

    /// These options and others.
    static func + (one: Self, other: Self) -> Self { one.merging(other) { $1 } }
}
