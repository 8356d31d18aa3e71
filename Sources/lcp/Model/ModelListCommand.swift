import ArgumentParser
import LCPModels

struct ModelListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "The networks and models that lcp knows, or the models of a pipeline.",
        discussion: """
            With --pipeline it tells which model was pushed there last, and who runs which.

            Examples:
              lcp model list
              lcp model list --json
              lcp model list --pipeline kitchen --broker mqtt://broker.local
            """)

    @OptionGroup var role: RoleOptions

    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Report: Encodable {
        struct Entry: Encodable {
            var name: String
            var input: [Int]
            var classes: Int
            var merge: Merge
            var parameters: Int
            var macs: Int
            var data_set: String?
        }
        struct Model: Encodable {
            var name: String
            var network: String
            var branches: Int
            var classes: Int
            var parameters: Int
            var macs: Int
            var model_hash: String
            var accuracy: [String: Double]?
        }
        var networks: [Entry]
        var models: [Model]
    }

    func run() async throws {
        guard role.pipeline == nil, role.connection.config == nil, role.connection.broker == nil else {
            let configuration = try role.settings().configuration()
            let json = json
            return try await role.run(.cutShort) {
                let models = try await PipelineModels.ask(configuration)
                writeLine(json ? try jsonLine(models) : models.text)
            }
        }
        var report = Report(networks: [], models: [])
        for network in Network.zoo {
            let whole = try network.split(into: 1)
            report.networks.append(
                .init(
                    name: network.name, input: network.input.dimensions, classes: network.classes, merge: network.merge,
                    parameters: try whole.parameterCount(), macs: try whole.macs(), data_set: network.dataSet))
        }
        for name in ModelBundle.shippedNames {
            let bundle = try ModelBundle.find(name)
            report.models.append(
                .init(
                    name: name, network: bundle.network.base, branches: bundle.network.branches.count,
                    classes: bundle.network.classes, parameters: try bundle.network.parameterCount(),
                    macs: try bundle.network.macs(), model_hash: bundle.hash.description,
                    accuracy: bundle.manifest.training?.accuracy))
        }
        writeLine(json ? try jsonLine(report) : Self.text(report))
    }

    private static func text(_ report: Report) -> String {
        var networks = Table(
            ["network", "input", "classes", "merge", "parameters", "MACs", "data set"], rightAligned: [2, 4, 5])
        for entry in report.networks {
            networks.add([
                entry.name, entry.input.map(String.init).joined(separator: "×"), "\(entry.classes)",
                entry.merge.rawValue, exact(entry.parameters), amount(entry.macs), entry.data_set ?? "",
            ])
        }
        var models = Table(
            ["model", "network", "branches", "parameters", "MACs", "right on its test images"], rightAligned: [2, 3, 4])
        for model in report.models {
            let accuracy = (model.accuracy ?? [:]).sorted { $0.key < $1.key }
            models.add([
                model.name, model.network, "\(model.branches)", exact(model.parameters), amount(model.macs),
                accuracy.map { "\(percent($0.value)) \($0.key)" }.joined(separator: ", "),
            ])
        }
        let shipped =
            report.models.isEmpty ? "No models: LCP_HOME may name the folder that has Models/ in it." : models.text
        return networks.text + "\n\n" + shipped
    }
}

extension FeatureMapShape {
    /// Height, width, channels.
    var dimensions: [Int] { [height, width, channels] }
}
