import LCPInference
import LCPModels
import LCPWire
import MQTT
import Platform

/// Frames that wait are computed together, where that takes less time than one by one.
extension BranchRunner {
    /// The most frames at once: with more the weights that they share cost nothing any more.
    private static let mostTogether = 8
    /// Of the memory that programs can get, what the weights of all threads may take.
    private static let memoryShare = 0.25
    /// It has to be worth the memory.
    private static let leastGain = 1.05

    /// Prepares a branch for frames that are computed together.
    ///
    /// As many as there are threads at least: one for each, where several on one frame would wait for each other. At most as many
    /// as are done within half of the deadline, so that the first of them is in time.
    ///
    /// - Parameters:
    ///   - wanted: how many somebody wants, whatever it gains.
    ///   - measured: the time of one frame alone.
    /// - Returns: nil where there is nothing to gain.
    static func together(
        _ bundle: ModelBundle, branch: Int, _ shared: WorkerResources, wanted: Int?, deadline: Duration,
        measured: Duration
    ) throws -> (Version?, ClosedRange<Int>?) {
        if let wanted {
            guard wanted > 1 else { return (nil, nil) }
            let version = try Version(bundle, branch: branch, shared, together: wanted)
            return version.batch == nil ? (nil, nil) : (version, 2...wanted)
        }
        let threads = try shared.pool()?.threads ?? 1
        let bytes = FileIO.size("\(bundle.path)/branch-\(branch).safetensors")
        guard let free = SystemMemory.available, Double(bytes * (threads + 1)) < memoryShare * Double(free) else {
            return (nil, nil)
        }
        let least = max(2, threads)
        guard measured * (2 * least) <= deadline else { return (nil, nil) }
        let version = try Version(bundle, branch: branch, shared, together: max(mostTogether, least))
        guard let batch = version.batch else { return (nil, nil) }
        let round = try batch.measure(frames: least, runs: 2)
        guard round.milliseconds * leastGain < measured.milliseconds * Double(least) else { return (nil, nil) }
        let most = Int(deadline / 2 / round) * least
        return most < least ? (nil, nil) : (version, least...min(most, batch.capacity))
    }

    /// How many frames are computed together at the moment: none while one version takes another's place, or where the one that
    /// came has nothing to gain, for example in numbers of eight bits.
    var togetherNow: ClosedRange<Int>? { versions.count == 1 && versions[0].batch != nil ? together : nil }

    /// An input that was read.
    private struct Read {
        var topic: String
        var identity: FrameIdentity
        var received: ContinuousClock.Instant
        var payload: [UInt8]
        /// The bytes that the branch runs on, and where in them.
        var bytes: [UInt8]
        var range: Range<Int>
        var isNormalized = false
        var decode: Duration
    }

    /// Computes some inputs in the only version of the model, and sends what comes out, in their order.
    func answerTogether(_ inputs: [MQTTMessage]) {
        let version = versions[0]
        guard let batch = version.batch else { preconditionFailure("the version computes one frame at a time") }
        // No closure: Swift 6.2 would take it for one that runs elsewhere.
        var frames: [Read] = []
        for input in inputs {
            if let frame = read(input, version) { frames.append(frame) }
        }
        guard !frames.isEmpty else { return }
        let start = ContinuousClock.now
        do throws(InferenceError) {
            try Self.withBytes(of: frames[...], []) { buffers throws(InferenceError) in
                try batch.run(
                    zip(frames, buffers).map { frame, bytes in
                        let part = UnsafeRawBufferPointer(rebasing: bytes[frame.range])
                        return frame.isNormalized ? .normalized(part) : .pixels(part)
                    })
            }
        } catch {
            for frame in frames { drop("engine", "\(frame.topic): \(error)") }
            return
        }
        let end = ContinuousClock.now
        // What a frame costs is its share; the rest of the time it has waited for the others.
        let compute = (end - start) / max(1, frames.count)
        for (index, frame) in frames.enumerated() {
            answer(
                version, frame.topic,
                Frame(
                    identity: frame.identity, received: frame.received,
                    queue: max(.zero, end - frame.received - frame.decode - compute), decode: frame.decode,
                    compute: compute),
                batch.output(of: index))
        }
        guard canary != nil else { return }
        for frame in frames {
            frame.payload.withUnsafeBytes { tryCanary(frame.identity, frame.topic, $0, received: frame.received) }
        }
    }

    private func read(_ input: MQTTMessage, _ version: Version) -> Read? {
        guard !input.retained else {
            drop("retained", "\(input.topic) was retained by the broker: stale frames are not answered")
            return nil
        }
        let begin = ContinuousClock.now
        do throws(InputError) {
            return try input.payload.withUnsafeBufferPointer { bytes throws(InputError) in
                let payload = UnsafeRawBufferPointer(bytes)
                let (identity, data) = try version.decoder.decode(payload)
                saw(identity, data, input.topic, payload, version)
                var read = Read(
                    topic: input.topic, identity: identity, received: input.received, payload: input.payload,
                    bytes: input.payload,
                    range: 0..<0,
                    decode: .now - begin)
                switch data {
                case .pixels(let range): read.range = range
                case .normalized(let range): (read.range, read.isNormalized) = (range, true)
                case .decoded(let pixels, _): (read.bytes, read.range) = (pixels, pixels.indices)
                }
                return read
            }
        } catch {
            drop(error.reason, "\(input.topic): \(error)")
            return nil
        }
    }

    /// Calls `body` with the bytes of all frames.
    private static func withBytes(
        of frames: ArraySlice<Read>, _ found: [UnsafeRawBufferPointer],
        _ body: ([UnsafeRawBufferPointer]) throws(InferenceError) -> Void
    ) throws(InferenceError) {
        guard let first = frames.first else { return try body(found) }
        try first.bytes.withUnsafeBufferPointer { bytes throws(InferenceError) in
            try withBytes(of: frames.dropFirst(), found + [UnsafeRawBufferPointer(bytes)], body)
        }
    }
}
