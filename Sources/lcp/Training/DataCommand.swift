import ArgumentParser
import LCPDatasets
import LCPPipeline
import Platform

struct DataCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data", abstract: "Fetch data sets, and see what is in them.",
        subcommands: [Fetch.self, Show.self])

    struct Fetch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "fetch",
            abstract: "Download a data set, check it and unpack it.",
            discussion: """
                It runs curl, which also takes a proxy from the environment. A download that was interrupted goes on where it \
                stopped, and what is there already is not fetched again.

                Examples:
                  lcp data fetch mnist --to data/mnist
                  lcp data fetch cifar10 --to data/cifar10
                  lcp data fetch cifar10 --to data/cifar10 --from http://files.local/cifar
                """)

        @Argument(
            help: "\(DatasetSource.all.map(\.name).joined(separator: ", ")).",
            completion: .list(DatasetSource.all.map(\.name)))
        var name: String

        @Option(help: ArgumentHelp("The folder for its files.", valueName: "folder"), completion: .directory)
        var to: String

        @Option(
            help: ArgumentHelp(
                "A server or folder (file:///…) that has the archives under their own names.", valueName: "url"))
        var from: String?

        func run() async throws {
            guard let source = DatasetSource.all.first(where: { $0.name == name }) else {
                let known = DatasetSource.all.map(\.name).joined(separator: ", ")
                throw CommandError("there is no data set \(name.debugDescription) to fetch; there is \(known)")
            }
            let fetcher = try DatasetFetcher(source: source, from: from, to: to)
            let folder = to
            try await untilStopped {
                let line = ProgressLine()
                defer { line.clear() }
                let summary: DatasetFetcher.Summary
                do {
                    summary = try await fetcher.run { progress in
                        line.show(
                            progress.fraction, "\(duration(progress.remaining)) left",
                            "\(megabytes(progress.received)) of \(megabytes(progress.total)) MB",
                            "\(fixed(progress.bytesPerSecond / 1e6, digits: 1)) MB/s", progress.archive)
                    }
                } catch let stop as CancellationError {
                    line.clear()
                    writeErrorLine("stopped before all was there: the same command goes on from here")
                    throw stop
                }
                line.clear()
                let verb = summary.fetched.isEmpty ? "was there already" : "is there, checked and unpacked"
                writeLine("\(source.name) \(verb): use it as --data \(source.name):\(folder)")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show",
            abstract: "What is in a data set: images, their size, the classes, and what cannot be read.",
            discussion: """
                Examples:
                  lcp data show mnist:data/mnist
                  lcp data show folder:photos --json
                """)

        @Argument(help: "\(DataSpecification.forms).", completion: .data)
        var data: String

        @Flag(help: "Print one JSON object.")
        var json = false

        func run() async throws {
            let specification = try DataSpecification(data, defaultDrawnCount: 10_000)
            let json = json
            try await untilStopped {
                let line = ProgressLine()
                let summary = try DataSummary(specification) { line.show($0, "reading all pictures") }
                line.clear()
                writeLine(json ? try jsonLine(summary) : Self.text(summary))
            }
        }

        private static func text(_ summary: DataSummary) -> String {
            let training = summary.training.reduce(0, +)
            let noun = exampleNoun(summary.data)
            let count =
                summary.test.map { "\(training) \(noun) to train on, \($0.reduce(0, +)) to test on" }
                ?? "\(training) \(noun)"
            let size = summary.size.map { $0.map(String.init).joined(separator: "×") } ?? "many sizes"
            var table = Table(
                ["class", summary.test == nil ? "images" : "training"] + (summary.test == nil ? [] : ["test"]),
                rightAligned: [1, 2])
            for (index, name) in summary.classes.enumerated() {
                let test = summary.test.map { ["\($0[index])"] } ?? []
                table.add([Log.printable(name), "\(summary.training[index])"] + test)
            }
            let leftOut =
                summary.leftOut.isEmpty
                ? ""
                : "\n\n\(summary.leftOut.count) cannot be read, and training leaves them out:\n"
                    + summary.leftOut.map { "  \(Log.printable($0))" }.joined(separator: "\n")
            return "\(summary.data): \(count), \(size), \(summary.classes.count) classes\n\(table.text)" + leftOut
                + summary.notes.map { "\n\n\(Log.printable($0))" }.joined()
        }
    }
}

private func megabytes(_ bytes: Int) -> String { fixed(Double(bytes) / 1e6, digits: 1) }
