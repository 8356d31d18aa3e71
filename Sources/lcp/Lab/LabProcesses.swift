public import ArgumentParser
public import LCPLab
import LCPModels
import LCPWire
import MQTT
import Platform

/// What runs on the devices of a lab besides the roles.
extension LabCommand {
    /// Stands between an emulated device's roles and the broker, for the link's delay.
    struct Relay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "relay", abstract: "Delay the messages of an emulated device.", shouldDisplay: false)

        @Option var broker: String
        @Option var port: Int
        @Option var delay: Double

        func run() async throws {
            let address = try MQTTAddress(broker)
            let (port, delay) = (port, delay)
            try await untilStopped(.usual, atEOF: true) {
                let relay = try LabRelay(broker: address, port: port, delay: delay)
                defer { withExtendedLifetime(relay) {} }
                try await Task.sleep(for: .seconds(1 << 30))
            }
        }
    }

    /// The sensor that measures.
    struct Load: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "load", abstract: "Send pictures and time their predictions.", shouldDisplay: false)

        @Option var broker: String
        @Option var pipeline: String
        @Option(transform: parseShape) var input: FeatureMapShape
        @Option var frames: Int
        @Option var warmup: Int
        @Option var window: Int
        @Option var workers: Int
        @Option var pictures: String?

        func run() async throws {
            let load = PictureLoad(
                broker: try MQTTAddress(broker), pipeline: pipeline, input: input, frames: frames, warmup: warmup,
                window: window, pictures: pictures)
            let workers = workers
            try await untilStopped(.cutShort, atEOF: true) {
                writeLine(try jsonLine(try await load.run(roles: workers + 1, workers: workers)))
            }
        }
    }
}

/// What the processes of a shared network are told.
struct SharingOptions: ParsableArguments {
    @Option var way: SharedNetwork.Way
    @Option var network: String
    @Option var devices: Int
    @Option var addresses: String
    @Option var delay: Double
    @Option(transform: parseFeatures) var features: FeatureEncoding

    var shared: SharedNetwork { get throws { SharedNetwork(way, try .named(network), devices: devices) } }
    var allAddresses: [String] { addresses.split(separator: ",").map(String.init) }
}

extension SharedNetwork.Way: ExpressibleByArgument {}

extension LabCommand {
    /// A device of a network that is shared by other ways than branches.
    struct Share: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "share", abstract: "Run a device's part of a shared network.", shouldDisplay: false)

        @OptionGroup var sharing: SharingOptions
        @Option var device: Int
        @Option var slowness: Double

        func run() async throws {
            let (sharing, number, slowness) = (sharing, device, slowness)
            let device = try SharingDevice(
                try sharing.shared, device: number, addresses: sharing.allAddresses, encoding: sharing.features,
                slowness: slowness, delay: .microseconds(Int64(sharing.delay * 1000))
            ) { writeLine("\($0.milliseconds)") }
            try device.run()
        }
    }

    /// The sensor of a shared network.
    struct ShareLoad: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "share-load", abstract: "Send pictures to a shared network.", shouldDisplay: false)

        @OptionGroup var sharing: SharingOptions
        @Option var frames: Int
        @Option var warmup: Int
        @Option var pictures: String?

        func run() async throws {
            let load = SharingLoad(
                try sharing.shared, addresses: sharing.allAddresses, encoding: sharing.features,
                delay: .microseconds(Int64(sharing.delay * 1000)), frames: frames, warmup: warmup, pictures: pictures)
            writeLine(try jsonLine(try load.run()))
        }
    }
}

private func parseFeatures(_ text: String) throws -> FeatureEncoding {
    guard let encoding = FeatureEncoding(rawValue: text) else {
        throw ValidationError("no encoding of numbers: \(text)")
    }
    return encoding
}
