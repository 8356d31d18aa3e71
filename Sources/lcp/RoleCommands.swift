import ArgumentParser
import LCPModels
import LCPPipeline

struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Run the branches of a model that a pipeline needs.",
        discussion: """
            Start one on every machine that reaches the broker. The workers find out by themselves who runs which branch: the \
            first takes all of them, later ones take some over, more than there are branches share frames, and a branch whose \
            worker is gone is taken by another. The model is the one that was pushed to the pipeline (lcp model push), or \
            lenet-split4 where none was.

            Examples:
              lcp worker --broker mqtt://broker.local --pipeline kitchen
              lcp worker --branch 0                       this branch, whatever the others do
              lcp worker --branch 1 --model lenet-split8  a model that is on this machine
            """)

    @OptionGroup var role: RoleOptions

    @Option(
        help: ArgumentHelp(
            "Only this branch, counted from 0; may be given several times.", valueName: "branch"))
    var branch: [Int] = []

    @Option(help: "A model bundle in place of the pipeline's: a folder, or the name of one that came with lcp.")
    var model: String?

    @Option(
        help: ArgumentHelp(
            "This worker's name; the machine's name and the process's number by default.", valueName: "id"))
    var name: String?

    @Flag(
        name: .customLong("no-compute"),
        help: "Send zeros of the right size without running the network, to measure the messages alone.")
    var sendsZeros = false

    @Option(
        help: ArgumentHelp(
            "Hold every frame for so long without using the processor: shows on one machine what slow devices would do.",
            valueName: "ms"))
    var serviceTime = 0.0

    func validate() throws {
        guard (0...60_000).contains(serviceTime) else {
            throw ValidationError("--service-time is 0 to 60,000 ms")
        }
    }

    func run() async throws {
        var options = BranchWorker.Options()
        options.id = name
        options.branches = branch.isEmpty ? nil : Set(branch)
        options.computes = !sendsZeros
        options.serviceTime = .microseconds(Int64(serviceTime * 1000))
        let worker = try BranchWorker(
            try role.configuration(), bundle: try model.map { try ModelBundle.find($0) },
            fallback: try? ModelBundle.find("lenet-split4"), options: options)
        try await role.run { try await worker.run() }
    }
}

struct AggregatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "aggregator",
        abstract: "Join the branches of every frame and publish the prediction.",
        discussion: """
            It answers as soon as all branches are there, and at the deadline from those that are. The model is the one that \
            was pushed to the pipeline (lcp model push), or lenet-split4 where none was.

            Examples:
              lcp aggregator
              lcp aggregator --broker mqtt://broker.local --pipeline kitchen --deadline 250
            """)

    @OptionGroup var role: RoleOptions

    @Option(help: "A model bundle in place of the pipeline's: a folder, or the name of one that came with lcp.")
    var model: String?

    @Option(
        help: ArgumentHelp("How long to wait for the other branches, from the first, in milliseconds.", valueName: "ms")
    )
    var deadline = 100.0

    @Option(
        help: ArgumentHelp(
            "This aggregator's name; the machine's name and the process's number by default.", valueName: "id"))
    var name: String?

    func validate() throws {
        guard deadline > 0, deadline <= 3_600_000 else {
            throw ValidationError("--deadline is more than 0 and at most 3,600,000 ms")
        }
    }

    func run() async throws {
        var options = Aggregator.Options()
        options.id = name
        options.deadline = .microseconds(Int64(deadline * 1000))
        let aggregator = try Aggregator(
            try role.configuration(), bundle: try model.map { try ModelBundle.find($0) },
            fallback: try? ModelBundle.find("lenet-split4"), options: options)
        try await role.run { try await aggregator.run() }
    }
}

struct SensorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sensor",
        abstract: "Publish frames: digits that it draws, a data file, a folder of images, or standard input.",
        discussion: """
            Examples:
              lcp sensor --source drawn --rate 10
              lcp sensor --source idx:t10k-images-idx3-ubyte,t10k-labels-idx1-ubyte --name mnist
              lcp sensor --source dir:photos --shape 28x28x1
              ffmpeg … -f rawvideo -pix_fmt gray - | lcp sensor --source stdin --shape 28x28x1
            """)

    @OptionGroup var role: RoleOptions

    @Option(help: ArgumentHelp("drawn, idx:FILE[,LABELS], dir:FOLDER or stdin.", valueName: "source"))
    var source = "drawn"

    @Option(help: ArgumentHelp("Frames per second.", valueName: "hz"))
    var rate = 10.0

    @Option(help: ArgumentHelp("Stop after so many frames.", valueName: "n"))
    var count: Int?

    @Option(help: "The frames' height, width and channels, for a folder or standard input.")
    var shape = "28x28x1"

    @Option(help: "Which digits are drawn.")
    var seed: UInt64 = 2

    @Option(
        help: ArgumentHelp(
            "This sensor's name, the last level of its topics; the machine's name and the process's number by default.",
            valueName: "id"))
    var name: String?

    func run() async throws {
        var options = Sensor.Options()
        options.id = name
        options.rate = rate
        options.count = count
        let numbers = shape.lowercased().split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard numbers.count == 3, let height = numbers[0], let width = numbers[1], let channels = numbers[2],
            (1...16_384).contains(height), (1...16_384).contains(width), channels == 1 || channels == 3
        else { throw ValidationError("--shape is HEIGHTxWIDTHxCHANNELS with 1 or 3 channels, for example 28x28x1") }
        options.shape = FeatureMapShape(height: height, width: width, channels: channels)
        guard !(role.stopAtEOF && source == "stdin") else {
            throw ValidationError("--stop-at-eof and --source stdin both want standard input")
        }
        let sensor = try Sensor(
            try role.configuration(), source: try FrameSource(source, seed: seed), options: options)
        try await role.run {
            let frames = try await sensor.run()
            sensor.session.log("published \(frames) frame\(frames == 1 ? "" : "s")")
        }
    }
}
