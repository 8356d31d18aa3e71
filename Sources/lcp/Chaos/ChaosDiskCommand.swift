import ArgumentParser
import FaultInjection

extension ChaosCommand {
    struct Disk: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "disk",
            abstract: "Fill the file system of a folder, and empty it again.",
            usage: "lcp chaos disk --folder <path> --leave <bytes> --for <seconds> [<options>]",
            discussion: """
                The room is taken by a file without a name, which is gone with this command, however that ends.

                Example:
                  lcp chaos disk --folder /mnt/data --leave 1MB --for 30
                """)

        @Option(help: ArgumentHelp("A folder on the file system to fill.", valueName: "path"), completion: .directory)
        var folder: String

        @Option(
            help: ArgumentHelp("How much stays free: 0, or for example 1MB.", valueName: "bytes"),
            transform: { $0 == "0" ? 0 : try parseBytes($0) })
        var leave: Int

        @Option(
            help: ArgumentHelp("The most that is taken; 1GiB by default.", valueName: "bytes"), transform: parseBytes)
        var most = 1 << 30

        @Option(name: .customLong("for"), help: ArgumentHelp("How long it is full.", valueName: "seconds"))
        var time: Double

        @Flag(help: "Also where the folder lies on the disk that this system runs from.")
        var systemDisk = false

        func validate() throws { try checkTime(time) }

        func run() async throws {
            var options = DiskFill.Options(folder: folder, leave: leave, most: most)
            options.allowsSystemDisk = systemDisk
            let (time, wanted) = (time, options)
            try await untilStopped(.usual) {
                let fill = try DiskFill(wanted)
                let free = try DiskFill.freeBytes(wanted.folder)
                writeLine(
                    "took \(byteAmount(fill.bytes)) of \(wanted.folder), \(byteAmount(free)) are free; Ctrl-C gives it back"
                )
                try? await Task.sleep(for: .seconds(time))
                withExtendedLifetime(fill) {}
            }
            writeLine("gave it back")
        }
    }
}
