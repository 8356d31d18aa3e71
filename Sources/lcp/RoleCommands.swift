import ArgumentParser
import LCPModels
import LCPPipeline

struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker",
        abstract: "Run one branch of a model.",
        discussion: """
            Start one worker for each branch, on any machines that reach the broker. More workers for the same branch share \
            its frames.

            Examples:
              lcp worker --branch 0
              lcp worker --broker mqtt://broker.local --pipeline kitchen --branch 3
              lcp worker --branch 1 --model lenet-split8
            """)

    @OptionGroup var role: RoleOptions

    @Option(help: "Which branch, counted from 0.")
    var branch: Int

    @Option(help: "A model bundle: a folder, or the name of one that came with lcp.")
    var model = "lenet-split4"

    @Option(
        help: ArgumentHelp(
            "This worker's name; the machine's name and the process's number by default.", valueName: "id"))
    var name: String?

    @Flag(
        name: .customLong("no-compute"),
        help: "Send zeros of the right size without running the network, to measure the messages alone.")
    var sendsZeros = false

    func run() async throws {
        var options = BranchWorker.Options()
        options.id = name
        options.computes = !sendsZeros
        let worker = try BranchWorker(
            try role.configuration(), bundle: try ModelBundle.find(model), branch: branch, options: options)
        try await role.run { try await worker.run() }
    }
}

struct AggregatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "aggregator",
        abstract: "Join the branches of every frame and publish the prediction.",
        discussion: """
            It answers as soon as all branches are there, and at the deadline from those that are. Give it the same model as \
            the workers.

            Examples:
              lcp aggregator
              lcp aggregator --broker mqtt://broker.local --pipeline kitchen --deadline 250
            """)

    @OptionGroup var role: RoleOptions

    @Option(help: "A model bundle: a folder, or the name of one that came with lcp.")
    var model = "lenet-split4"

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
        let aggregator = try Aggregator(try role.configuration(), bundle: try ModelBundle.find(model), options: options)
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
