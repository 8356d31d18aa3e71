import ArgumentParser
import LCPPipeline
import LCPSensor

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
              lcp worker --branch 0           this branch, whatever the others do
              lcp worker --model lenet-split8  a model that is on this machine
              lcp worker --config Configs/pipelines/kitchen.yaml
              lcp worker --engine array --model lenet-split4-int8
            """)

    @OptionGroup var role: RoleOptions

    @OptionGroup var log: LogOptions

    @OptionGroup var branch: BranchOptions

    @OptionGroup var model: ModelOptions

    @OptionGroup var engine: EngineOptions

    @Option(
        help: ArgumentHelp(
            "This worker's name; by default the machine's, a random part that it keeps, and a number.", valueName: "id")
    )
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

    @Option(
        help: ArgumentHelp(
            "Answer when a device would whose processor is so many times slower than this one: see lcp lab.",
            valueName: "times"))
    var slowness: Double?

    @Option(
        help: ArgumentHelp(
            "With --slowness: what the network takes on this machine; measured for every frame without it.",
            valueName: "ms"))
    var networkTime: Double?

    @Option(
        help: ArgumentHelp(
            "With --slowness: what decoding takes on this machine for 1,000 bytes of a picture; measured for every frame "
                + "without it.",
            valueName: "µs"))
    var decodeTime: Double?

    func validate() throws {
        guard (0...60_000).contains(serviceTime) else {
            throw ValidationError("--service-time is 0 to 60,000 ms")
        }
        guard engine.engine == .processor || serviceTime == 0 && slowness == nil && !sendsZeros else {
            throw ValidationError(
                "--engine \(engine.engine.rawValue) has a time of its own: leave out --service-time, --slowness and --no-compute"
            )
        }
        guard (1...10_000).contains(slowness ?? 1) else { throw ValidationError("--slowness is 1 to 10,000") }
        guard networkTime == nil || slowness != nil else { throw ValidationError("--network-time needs --slowness") }
        guard decodeTime == nil || slowness != nil else { throw ValidationError("--decode-time needs --slowness") }
        guard (0...1_000_000).contains(decodeTime ?? 0) else {
            throw ValidationError("--decode-time is 0 to 1,000,000 µs")
        }
        guard (0...60_000).contains(networkTime ?? 0) else { throw ValidationError("--network-time is 0 to 60,000 ms") }
    }

    func run() async throws {
        let settings = try role.settings(log.given + branch.given + model.given + .init(given: [.workerName: name]))
        settings.applyLog()
        let branch = settings.branch
        var options = BranchWorker.Options()
        options.id = settings.name(of: .worker)
        options.branches = branch.map { [$0] }
        options.computes = !sendsZeros
        options.features = settings.features
        options.threads = settings.threads
        options.batch = settings.batch
        options.budget = settings.budget
        options.serviceTime = .microseconds(Int64(serviceTime * 1000))
        options.emulated = slowness.map { slowness in
            EmulatedDevice(
                slowness: slowness, networkTime: networkTime.map { .microseconds(Int64($0 * 1000)) },
                decodeTime: decodeTime.map { .nanoseconds(Int64($0 * 1000)) })
        }
        options.device = try engine.device()
        let worker = try BranchWorker(
            try settings.configuration(), bundle: try settings.givenBundle(),
            fallback: try settings.bundle(), options: options)
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
              lcp aggregator --threshold 0.8 --stable 3/5    tells label changes
              lcp aggregator --threshold 0.6,door=0.9 --homeassistant
              lcp aggregator --config Configs/pipelines/kitchen.yaml
            """)

    @OptionGroup var role: RoleOptions

    @OptionGroup var log: LogOptions

    @OptionGroup var model: ModelOptions

    @OptionGroup var deadline: DeadlineOptions

    @OptionGroup var events: EventOptions

    @Option(
        help: ArgumentHelp(
            "This aggregator's name; by default the machine's, a random part that it keeps, and a number.",
            valueName: "id"))
    var name: String?

    func run() async throws {
        let settings = try role.settings(
            log.given + model.given + deadline.given + events.given + .init(given: [.aggregatorName: name]))
        settings.applyLog()
        let configuration = try settings.configuration()
        let aggregator = try Aggregator(
            configuration, bundle: try settings.givenBundle(), fallback: try settings.bundle(),
            options: settings.aggregatorOptions)
        try await role.run { try await aggregator.run() }
    }
}

struct SensorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sensor",
        abstract: "Publish frames: digits that it draws, pictures, a data set, numbers, or standard input.",
        discussion: """
            Frames get the shape of the pipeline's model, or of --model. A folder of pictures may have a folder for each class: \
            then its name is the truth, which is told with every frame: the label that the model has of that name. Where no model \
            is known, frames are 28x28x1, and the first name in the alphabet is class 0.

            A model for numbers takes the fields of records, JSON or CSV, one or a window of them, or sound. A record without a \
            value, a word and a gap in time end a window, and are counted.

            --encoding auto sends small frames raw and large ones as JPEG, where the model and all workers take that; it says \
            which, and why.

            With --qos 1 a broker that goes costs no frame: each is kept until its prediction comes, and sent again when a broker \
            was gone, or when there is no prediction for two seconds, three times. Up to 1,000 frames or 64 MB are kept; then the \
            oldest are given up. How many frames were never answered is said in the end, with the exit status 1, or with 0 where it \
            was asked to stop.

            Examples:
              lcp sensor --source drawn --rate 10
              lcp sensor --source idx:t10k-images-idx3-ubyte,t10k-labels-idx1-ubyte \\
                  --name mnist
              lcp sensor --source dir:photos --encoding jpeg:90
              lcp sensor --source watch:/srv/camera     pictures that are put there
              lcp sensor --config Configs/pipelines/kitchen.yaml --name door
              lcp sensor --source rtsp://user:secret@camera.local/1 --rate 5
              lcp sensor --source http://camera.local/snapshot.jpg --rate 1
              libcamera-vid --codec mjpeg -t 0 -o - | lcp sensor --source stdin
              lcp sensor --source json:mqtt:home/pump --fields ax=accel.x,ay=accel.y
              lcp sensor --source csv:today.csv,label=state --hop 64
              arecord -f S16_LE -r 16000 -t raw | lcp sensor --source pcm:-
            """)

    @OptionGroup var role: RoleOptions

    @OptionGroup var log: LogOptions

    @OptionGroup var frames: FrameOptions

    @Option(
        help: ArgumentHelp(
            "A model on this machine that the frames are for, in place of the pipeline's (LCP_MODEL).",
            valueName: "model"), completion: .bundle)
    var model: String?

    @Option(help: "Which digits are drawn.")
    var seed: UInt64 = 2

    @Option(
        help: ArgumentHelp(
            "This sensor's name, the last level of its topics; by default the machine's, a random part that it keeps, and a number.",
            valueName: "id"))
    var name: String?

    func run() async throws {
        let settings = try role.settings(log.given + frames.given + .init(given: [.sensorName: name, .model: model]))
        settings.applyLog()
        let source = try settings.source(seed: seed)
        if case .standardInput = source, role.stopAtEOF {
            throw CommandError("--stop-at-eof and --source stdin both want standard input")
        }
        let sensor = try Sensor(
            try settings.configuration(), source: source, options: try settings.sensorOptions())
        try await role.run {
            let frames = try await sensor.run()
            sensor.session.log("published \(frames) frame\(frames == 1 ? "" : "s")")
        }
    }
}
