public import LCPModels
import Synchronization

/// One branch of a network for several frames at once: each thread computes another frame, where several threads on one frame would
/// wait for each other; and the fully connected layers at the end read their weights once for all frames.
///
/// What comes out has the same bits as a ``BranchEngine``'s. One thread at a time may use it.
public final class BatchEngine {
    /// A frame's input: UINT8 pixels or FP32 numbers, HWC, exactly as many as the network takes.
    public enum Input {
        case pixels(UnsafeRawBufferPointer)
        case normalized(UnsafeRawBufferPointer)
    }

    /// The most frames at once.
    public let capacity: Int
    /// The numbers that come out of a frame.
    public let outputCount: Int
    /// The threads that share the frames.
    public var threads: Int { heads.count }

    private let inputCount: Int
    /// All but the fully connected layers at the end, for each thread.
    private let heads: [FloatProgram]
    private let headCount: Int
    private let tail: FloatProgram
    private let pool: ThreadPool?

    /// Prepares a branch of a bundle.
    ///
    /// - Returns: nil where there is nothing to gain: numbers of eight bits, and branches that do not end in a fully connected layer.
    /// - Parameters:
    ///   - capacity: the most frames at once.
    ///   - pool: the threads that compute; nil for the caller's alone.
    /// - Throws: ``InferenceError``, or a ``ModelBundleError`` where its weights cannot be read.
    public convenience init?(bundle: ModelBundle, branch: Int, capacity: Int, pool: ThreadPool?) throws {
        guard bundle.manifest.arithmetic != .int8 else { return nil }
        let network = bundle.network
        let merge = try network.headWeights(of: branch, merge: bundle.mergeParameters())
        try self.init(
            network: network, branch: branch, parameters: bundle.branchParameters(branch), mergeWeights: merge,
            preprocessing: bundle.manifest.preprocessing, capacity: capacity, pool: pool)
    }

    /// Prepares a branch of a network with all its weights.
    package convenience init?(
        _ network: BranchedNetwork, branch: Int, of parameters: ModelParameters, capacity: Int, pool: ThreadPool?
    ) throws {
        let merge = try network.headWeights(of: branch, merge: parameters.merge)
        try self.init(
            network: network, branch: branch, parameters: parameters.branches[branch], mergeWeights: merge,
            preprocessing: .usual(for: network.input), capacity: capacity, pool: pool)
    }

    init?(
        network: BranchedNetwork, branch: Int, parameters: BranchParameters, mergeWeights: [Float]?,
        preprocessing: ModelManifest.Preprocessing, capacity: Int, pool: ThreadPool?
    ) throws {
        let kernels = try KernelSet.fastest(
            for: network, branch: branch, parameters: parameters, head: mergeWeights, preprocessing: preprocessing
        ).kernels
        let graph = try BranchGraph(
            lowering: network.branches[branch], shapes: network.shapes(of: branch), parameters: parameters,
            head: mergeWeights
        ).optimized(for: kernels)
        guard let (head, tail) = graph.cut(rows: capacity) else { return nil }
        self.capacity = capacity
        self.pool = pool
        inputCount = network.input.elementCount
        outputCount = graph.shape(of: graph.output).elementCount
        headCount = head.shape(of: head.output).elementCount
        let pixels = PixelScale(preprocessing)
        heads = try (0..<(pool?.threads ?? 1)).map { _ throws(InferenceError) in
            try FloatProgram(head, pixels: pixels, kernels: kernels)
        }
        self.tail = try FloatProgram(tail, pixels: pixels, kernels: kernels, pool: pool)
    }

    /// Computes some frames, ``capacity`` at the most.
    public func run(_ inputs: [Input]) throws(InferenceError) {
        precondition(inputs.count <= capacity)
        for input in inputs {
            switch input {
            case .pixels(let bytes) where bytes.count != inputCount * tail.elementSize:
                throw .inputSize(bytes.count, expected: inputCount * tail.elementSize)
            case .normalized(let bytes) where bytes.count != 4 * inputCount:
                throw .inputSize(bytes.count, expected: 4 * inputCount)
            default: break
            }
        }
        guard let pool else {
            for index in inputs.indices { try compute(inputs[index], index, heads[0]) }
            return try finish()
        }
        pool.begin()
        defer { pool.end() }
        let failure = Mutex<InferenceError?>(nil)
        pool.run(inputs.count, isLast: false) { index, thread in
            do throws(InferenceError) { try compute(inputs[index], index, heads[thread]) } catch {
                failure.withLock { $0 = error }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
        try finish()
    }

    private func compute(_ input: Input, _ index: Int, _ head: FloatProgram) throws(InferenceError) {
        switch input {
        case .pixels(let bytes): head.load(pixels: bytes)
        case .normalized(let bytes): head.load(normalized: bytes)
        }
        for operation in head.operations.indices { try head.run(operation: operation) }
        (tail.inputBuffer + index * headCount).update(from: head.output, count: headCount)
    }

    /// Rows that no frame is in are computed, too, from what lies there, and nobody reads them.
    private func finish() throws(InferenceError) {
        for operation in tail.operations.indices { try tail.run(operation: operation) }
    }

    /// The result of a frame of the last run, ``outputCount`` numbers. Valid until the next run.
    public func output(of index: Int) -> UnsafeBufferPointer<Float> {
        UnsafeBufferPointer(start: tail.output + index * outputCount, count: outputCount)
    }

    /// The time of one run of so many frames of zeros, measured: the median of `runs` after one to warm up.
    public func measure(frames: Int, runs: Int = 3) throws(InferenceError) -> Duration {
        let zeros = [UInt8](repeating: 0, count: inputCount)
        var times: [Duration] = []
        for _ in 0...max(1, runs) {
            let start = ContinuousClock.now
            let failure = zeros.withUnsafeBytes { bytes -> InferenceError? in
                do throws(InferenceError) {
                    try run(Array(repeating: .pixels(bytes), count: frames))
                    return nil
                } catch { return error }
            }
            if let failure { throw failure }
            times.append(.now - start)
        }
        return times.dropFirst().sorted()[(times.count - 1) / 2]
    }
}

extension BranchGraph {
    /// Cuts the fully connected layers at the end off, and has them compute so many rows.
    ///
    /// - Returns: nil where there are none.
    fileprivate func cut(rows: Int) -> (head: BranchGraph, tail: BranchGraph)? {
        let start = nodes.indices.reversed().prefix { index in
            guard nodes[index].inputs == [index] else { return false }
            switch nodes[index].operation {
            case .fullyConnected, .clamp: return true
            default: return false
            }
        }.last
        guard output == nodes.count, let start, start > 0,
            nodes[start...].contains(where: { if case .fullyConnected = $0.operation { true } else { false } })
        else { return nil }
        func row(_ shape: FeatureMapShape) -> FeatureMapShape {
            FeatureMapShape(height: rows, width: 1, channels: shape.elementCount)
        }
        var (head, tail) = (self, self)
        head.nodes.removeSubrange(start...)
        head.output = start
        tail.input = row(shape(of: start))
        tail.nodes.removeSubrange(..<start)
        for index in tail.nodes.indices {
            tail.nodes[index].inputs = [index]
            tail.nodes[index].rows = rows
            (tail.nodes[index].from, tail.nodes[index].to) = (row(tail.nodes[index].from), row(tail.nodes[index].to))
        }
        tail.output = tail.nodes.count
        return (head, tail)
    }
}
