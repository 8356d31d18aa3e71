import Glibc
import LCPModels
public import LCPWire
import Platform

/// One device of a network that is shared by devices that talk to each other: the process that runs there.
public struct SharingDevice {
    private let shared: SharedNetwork
    private let device: Int
    private let addresses: [String]
    private let runner: ProgramRunner
    private let slowness: Double
    private let delay: Duration
    private let measured: @Sendable (Duration) -> Void

    /// - Parameters:
    ///   - device: its number, from 0.
    ///   - addresses: of all devices.
    ///   - slowness: how many times as long as this machine's processor the device's takes.
    ///   - delay: what a message takes besides its bytes.
    ///   - measured: told what the network's parts take, when that has been measured.
    /// - Throws: ``NetworkError``, `InferenceError`.
    public init(
        _ shared: SharedNetwork, device: Int, addresses: [String], encoding: FeatureEncoding, slowness: Double,
        delay: Duration, measured: @escaping @Sendable (Duration) -> Void
    ) throws {
        self.shared = shared
        self.device = device
        self.addresses = addresses
        self.slowness = slowness
        self.delay = delay
        self.measured = measured
        runner = try ProgramRunner(
            shared.programs()[device], shared.weights(), preprocessing: .usual(for: shared.network.input),
            encoding: encoding)
    }

    /// Measures the network's parts, and answers frames until who sends them is gone.
    ///
    /// - Throws: ``PipelineError`` where another device is gone.
    public func run() throws {
        let listener = try TCP.listen(port: TCPMesh.port)
        let feed = try TCP.listen(port: SharingLoad.port)
        defer { for descriptor in [listener, feed] { close(descriptor) } }
        let input = shared.network.input
        // As everything that the device takes: with nothing else going on, because only one device measures at a time.
        let files = try LabPictures.load(nil, input).map { try $0.jpeg(quality: 80) }
        let decodeByte = try LabPictures.decodeMillisecondsPerByte(files, input)
        measured(try runner.measure())
        let mesh = try TCPMesh(device: device, addresses: addresses, listener: listener)
        let source = try TCP.accept(feed, patience: .seconds(120))
        defer { close(source) }
        let clock = DeviceClock(slowness: slowness, delay: delay)
        clock.wait()
        while let header = try? TCP.receive(4, source) {
            let count = Int(header.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) })
            guard count <= 32 << 20 else { throw PipelineError(.invalidMessage, "a picture of \(count) bytes came") }
            let picture = try TCP.receive(count, source)
            clock.begin(.now)
            clock.resume()
            let pixels = try LabPictures.decode(picture, input)
            clock.charge(.nanoseconds(Int64(decodeByte * Double(count) * 1e6)))
            let (first, values) = try runner.run(pixels, mesh, clock)
            let answer = clock.working { SharingLoad.answer(first, values, runner.encoding, clock) }
            clock.wait()
            try TCP.send(answer, source)
        }
    }
}
