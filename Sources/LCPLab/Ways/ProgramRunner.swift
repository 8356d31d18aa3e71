import Glibc
import LCPInference
import LCPModels
import LCPWire
import Platform

/// How devices exchange what their programs say.
protocol ProgramMesh: AnyObject {
    /// Sends messages, and returns those that were expected, in their order.
    ///
    /// - Parameter clock: the device's, which waits for what comes.
    func exchange(
        _ sends: [(to: Int, bytes: [UInt8])], receive: [(from: Int, count: Int)], _ clock: DeviceClock
    ) throws -> [[UInt8]]
}

/// A device program, compiled for this processor and ready to run.
///
/// One thread at a time may use it.
final class ProgramRunner {
    private let program: DeviceProgram
    private let engines: [BranchEngine]
    private let biases: [Int: [Float]]
    private var slots: [[Float]]
    /// What each part takes here, measured.
    private var times: [Duration]
    private let preprocessing: ModelManifest.Preprocessing
    /// How numbers are written that devices send each other.
    let encoding: FeatureEncoding

    /// - Throws: ``NetworkError``, `InferenceError`.
    init(
        _ program: DeviceProgram, _ weights: ProgramWeights, preprocessing: ModelManifest.Preprocessing,
        encoding: FeatureEncoding
    ) throws {
        self.program = program
        self.encoding = encoding
        self.preprocessing = preprocessing
        engines = try program.parts.map { part in
            let shapes = try Layer.shapes(of: part.layers, input: part.input)
            let parameters: BranchParameters = zip(part.weights, shapes).map { source, shape in
                source.map { weights.parameters($0, input: shape) }
            }
            return try BranchEngine(
                part: part.layers, input: part.input, parameters: parameters)
        }
        var biases: [Int: [Float]] = [:]
        for (index, step) in program.steps.enumerated() {
            guard case .bias(let source, _) = step else { continue }
            let input = FeatureMapShape(height: 1, width: 1, channels: source.inputs.count)
            biases[index] = weights.parameters(source, input: input).bias
        }
        self.biases = biases
        times = Array(repeating: .zero, count: engines.count)
        slots = program.slots.map { Array(repeating: 0, count: $0.elementCount) }
    }

    /// Measures what the network's parts take on this machine, warm: that is what an emulated device is charged for them.
    ///
    /// - Returns: all of them together.
    @discardableResult
    func measure(runs: Int = 9) throws -> Duration {
        times = try engines.map { try $0.measure(runs: runs) }
        return times.reduce(.zero, +)
    }

    /// Runs the program on a picture.
    ///
    /// - Parameters:
    ///   - pixels: of the network's input, UINT8, HWC.
    ///   - clock: of the device.
    /// - Returns: logits from a class on, or summands of all.
    func run(
        _ pixels: [UInt8], _ mesh: any ProgramMesh, _ clock: DeviceClock
    ) throws -> (first: Int, values: [Float]) {
        for (index, step) in program.steps.enumerated() {
            switch step {
            case .exchange(let sends, let receives): try exchange(sends, receives, mesh, clock)
            case .answer(let slot, let first): return (first, slots[slot])
            case .compute(let part, let from, let into):
                try slots[from].withUnsafeBytes { try engines[part].run(normalized: $0) }
                clock.charge(times[part])
                let output = engines[part].output
                slots[into].withUnsafeMutableBufferPointer { _ = $0.update(fromContentsOf: output) }
            default: clock.working { arrange(step, index, pixels) }
            }
        }
        throw PipelineError(.invalidConfiguration, "a device's program has no answer")
    }

    /// Does a step that only moves numbers, or changes each by itself.
    private func arrange(_ step: DeviceProgram.Step, _ index: Int, _ pixels: [UInt8]) {
        switch step {
        case .decode(let into): normalize(pixels, into: into)
        case .copy(let from, let channels, let into, let at): copy(from, channels, into: into, at: at)
        case .add(let summand, let sum):
            slots[summand].withUnsafeBufferPointer { summand in
                slots[sum].withUnsafeMutableBufferPointer { sum in
                    for index in sum.indices { sum[index] += summand[index] }
                }
            }
        case .bias(_, let slot): add(biases[index] ?? [], to: slot)
        case .relu(let slot):
            slots[slot].withUnsafeMutableBufferPointer { for index in $0.indices { $0[index] = max(0, $0[index]) } }
        case .compute, .exchange, .answer: break
        }
    }

    private func normalize(_ pixels: [UInt8], into slot: Int) {
        let channels = preprocessing.mean.count
        let scales = preprocessing.standardDeviation.map { 1 / (255 * $0) }
        let offsets = zip(preprocessing.mean, preprocessing.standardDeviation).map { -$0 / $1 }
        slots[slot].withUnsafeMutableBufferPointer { output in
            var place = 0
            while place + channels <= min(output.count, pixels.count) {
                for channel in 0..<channels {
                    output[place + channel] = Float(pixels[place + channel]) * scales[channel] + offsets[channel]
                }
                place += channels
            }
        }
    }

    private func copy(_ from: Int, _ channels: Range<Int>, into: Int, at: Int) {
        let (source, target) = (program.slots[from].channels, program.slots[into].channels)
        slots[from].withUnsafeBufferPointer { input in
            slots[into].withUnsafeMutableBufferPointer { output in
                for pixel in 0..<program.slots[from].height * program.slots[from].width {
                    for channel in 0..<channels.count {
                        output[pixel * target + at + channel] = input[pixel * source + channels.lowerBound + channel]
                    }
                }
            }
        }
    }

    private func add(_ bias: [Float], to slot: Int) {
        guard !bias.isEmpty else { return }
        slots[slot].withUnsafeMutableBufferPointer { values in
            bias.withUnsafeBufferPointer { bias in
                for pixel in 0..<values.count / bias.count {
                    for channel in bias.indices { values[pixel * bias.count + channel] += bias[channel] }
                }
            }
        }
    }

    // MARK: Exchange

    private func exchange(
        _ sends: [DeviceProgram.Send], _ receives: [DeviceProgram.Receive], _ mesh: any ProgramMesh,
        _ clock: DeviceClock
    ) throws {
        // All get the same where they get all.
        let messages = clock.working {
            var before: (send: DeviceProgram.Send, bytes: [UInt8])?
            return sends.map { send in
                let isSame = before.map { $0.send.slot == send.slot && $0.send.channels == send.channels } ?? false
                let bytes = isSame ? before?.bytes ?? [] : packed(send.slot, send.channels)
                before = (send, bytes)
                return (to: send.to, bytes: bytes)
            }
        }
        let expected = receives.map { receive in
            let shape = program.slots[receive.slot]
            return (
                from: receive.from,
                count: 4 + shape.height * shape.width * receive.channels.count * encoding.dtype.size
            )
        }
        let received = try mesh.exchange(messages, receive: expected, clock)
        clock.working { for (receive, bytes) in zip(receives, received) { unpack(bytes, receive) } }
    }

    /// A scale, and the numbers.
    private func packed(_ slot: Int, _ channels: Range<Int>) -> [UInt8] {
        let shape = program.slots[slot]
        let count = shape.height * shape.width * channels.count
        var bytes = [UInt8](repeating: 0, count: 4 + count * encoding.dtype.size)
        func write(_ values: UnsafeBufferPointer<Float>) {
            bytes.withUnsafeMutableBytes { buffer in
                let data = UnsafeMutableRawBufferPointer(rebasing: buffer[4...])
                let scale = encoding.encode(values, into: data) ?? 0
                buffer.storeBytes(of: scale, as: Float.self)
            }
        }
        if channels.count == shape.channels {
            slots[slot].withUnsafeBufferPointer(write)
            return bytes
        }
        let values = [Float](unsafeUninitializedCapacity: count) { output, filled in
            slots[slot].withUnsafeBufferPointer { input in
                for pixel in 0..<shape.height * shape.width {
                    for channel in 0..<channels.count {
                        output[pixel * channels.count + channel] =
                            input[pixel * shape.channels + channels.lowerBound + channel]
                    }
                }
            }
            filled = count
        }
        values.withUnsafeBufferPointer(write)
        return bytes
    }

    private func unpack(_ bytes: [UInt8], _ receive: DeviceProgram.Receive) {
        let shape = program.slots[receive.slot]
        let count = shape.height * shape.width * receive.channels.count
        let values = [Float](unsafeUninitializedCapacity: count) { output, filled in
            bytes.withUnsafeBytes { buffer in
                let scale = buffer.loadUnaligned(as: Float.self)
                encoding.decode(UnsafeRawBufferPointer(rebasing: buffer[4...]), scale: scale, into: output)
            }
            filled = count
        }
        values.withUnsafeBufferPointer { input in
            slots[receive.slot].withUnsafeMutableBufferPointer { output in
                let channels = receive.channels.count
                for pixel in 0..<shape.height * shape.width {
                    let place = pixel * shape.channels + receive.channels.lowerBound
                    for channel in 0..<channels {
                        let value = input[pixel * channels + channel]
                        if receive.adds { output[place + channel] += value } else { output[place + channel] = value }
                    }
                }
            }
        }
    }
}
