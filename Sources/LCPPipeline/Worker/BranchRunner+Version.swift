import LCPInference
import LCPModels
import LCPWire
import Platform
import Tensors

extension BranchRunner {
    /// The branch in one version of the model.
    final class Version {
        let engine: any BranchComputer
        /// For frames that are computed together, where that is wanted and there is something to gain.
        let batch: BatchEngine?
        let decoder: InputDecoder
        let model: ModelHash
        let preprocessing: ModelManifest.Preprocessing
        private let header: TensorMessageHeader
        /// The messages that go out, by their encoding, written anew for every frame.
        private var messages: [FeatureEncoding: [UInt8]] = [:]

        /// - Parameter frames: how many may be computed together.
        init(_ bundle: ModelBundle, branch: Int, _ shared: WorkerResources, together frames: Int = 1) throws {
            engine = try shared.computer(bundle, branch: branch)
            batch =
                frames > 1 && shared.device == nil
                ? try BatchEngine(bundle: bundle, branch: branch, capacity: frames, pool: shared.pool()) : nil
            guard let shape = Shape([engine.outputCount]) else {
                throw PipelineError(.modelMismatch, "the branch's output is too large to send")
            }
            decoder = InputDecoder(
                shape: bundle.network.input, preprocessing: bundle.manifest.preprocessing, pictures: shared.pictures)
            model = bundle.hash
            preprocessing = bundle.manifest.preprocessing
            header = TensorMessageHeader(
                kind: engine.outputKind == .features ? .features : .partialLogits, dtype: .fp32, shape: shape,
                session: 0, frame: 0, branch: UInt16(branch), branchCount: UInt16(bundle.network.branches.count),
                model: bundle.hash)
        }

        /// Writes the message with what came out of a run, and hands it over.
        ///
        /// - Parameter pace: waits for the moment when the device has encoded it.
        /// - Returns: what `body` does; nil where the output has numbers that are infinite or none, and cannot be written.
        func withMessage<Result>(
            _ frame: Frame, _ output: UnsafeBufferPointer<Float>, _ encoding: FeatureEncoding, _ pace: inout DevicePace,
            _ body: (UnsafeRawBufferPointer) -> Result
        ) -> Result? {
            var header = header
            header.session = frame.identity.session
            header.frame = frame.identity.frame
            header.captureTime = frame.identity.captureTime
            header.label = frame.identity.label
            header.queueTime = frame.queue.headerMicroseconds
            header.computeTime = frame.compute.headerMicroseconds
            header.dtype = encoding.dtype
            if encoding != .fp32 { header.version2 = frame.times() }
            let size = header.size + output.count * encoding.dtype.size
            return messages[encoding, default: [UInt8](repeating: 0, count: size)].withUnsafeMutableBytes { buffer in
                let data = UnsafeMutableRawBufferPointer(rebasing: buffer[header.size...])
                let begin = pace.now
                if encoding == .fp32 {
                    data.copyMemory(from: UnsafeRawBufferPointer(output))
                } else {
                    guard let scale = encoding.encode(output, into: data) else { return nil }
                    header.version2?.scale = scale
                    header.version2?.encodeTime = pace.time(since: begin).headerMicroseconds
                }
                pace.waitUntilDone(
                    received: frame.received, captured: frame.identity.captureTime, decode: frame.decode,
                    compute: frame.compute, since: begin)
                if encoding != .fp32 { header.version2?.sendTime = wallClockNanoseconds() }
                TensorMessage.encodeHeader(header, into: buffer)
                return body(UnsafeRawBufferPointer(buffer))
            }
        }
    }

    /// What an answer says of its frame.
    struct Frame {
        var identity: FrameIdentity
        var received: ContinuousClock.Instant
        var queue: Duration
        var decode: Duration
        var compute: Duration

        /// What only version 2 of the message has room for.
        func times() -> TensorMessageHeader.Extension {
            let age = Int64(clamping: Int((ContinuousClock.now - received).milliseconds * 1e6))
            return .init(receiveTime: wallClockNanoseconds() - age, decodeTime: decode.headerMicroseconds)
        }
    }
}
