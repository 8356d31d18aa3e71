import CBranchKernels

/// Threads that compute an operation together: the caller's, and others that sleep between two runs of a branch.
///
/// Branches may share one: one that finds the threads taken computes with its own alone. Nobody waits for a thread that is slow
/// to wake. Results have the same bits with any number of threads.
public final class ThreadPool: Sendable {
    /// How many threads compute, the caller's among them.
    public let threads: Int
    private nonisolated(unsafe) let handle: OpaquePointer

    /// The most that ``threads`` can be.
    public static let maximumThreads = Int(LCP_POOL_MAXIMUM_THREADS)

    /// Starts the threads.
    ///
    /// - Parameter threads: 1 to ``maximumThreads``, the caller's among them.
    /// - Throws: ``InferenceError`` where the system has no more threads.
    public init(threads: Int) throws(InferenceError) {
        precondition((1...Self.maximumThreads).contains(threads))
        guard let handle = lcp_pool_create(threads) else {
            throw InferenceError("\(threads) threads cannot be started")
        }
        self.handle = handle
        self.threads = threads
    }

    deinit { lcp_pool_destroy(handle) }

    /// Before the first operation of a run: runs at the same time share the threads.
    func begin() { lcp_pool_begin(handle) }

    /// Behind the last.
    func end() { lcp_pool_end(handle) }

    /// Calls `body` for every part, on several threads at once, and returns when all parts are done.
    ///
    /// - Parameters:
    ///   - parts: some for each thread, so that a slow one does not keep the others waiting.
    ///   - isLast: whether the threads may sleep afterwards; otherwise they wait for the next operation, and are quick to begin.
    ///   - body: gets the part, and a thread's number below ``threads`` that no other call has at the same time.
    func run(_ parts: Int, isLast: Bool, _ body: (_ part: Int, _ thread: Int) -> Void) {
        withoutActuallyEscaping(body) { body in
            var body = body
            withUnsafeMutablePointer(to: &body) { body in
                lcp_pool_run(
                    handle, parts, isLast ? 1 : 0,
                    { body, part, thread in
                        body?.assumingMemoryBound(to: ((Int, Int) -> Void).self).pointee(part, thread)
                    },
                    body)
            }
        }
    }
}

/// How an operation is shared among threads.
struct Sharing {
    /// Nil where one thread computes it alone.
    var pool: ThreadPool?
    /// Whether it is the last of a branch that uses the pool.
    var isLast = false

    static let none = Sharing()

    /// The threads that may be in it at once.
    var threads: Int { pool?.threads ?? 1 }

    /// Computes units of work; `body` gets a range of them, and a thread's number below ``threads``.
    func run(_ units: Int, _ body: (_ range: Range<Int>, _ thread: Int) -> Void) {
        guard let pool, units > 1 else { return body(0..<units, 0) }
        let parts = min(units, Self.partsPerThread * pool.threads)
        pool.run(parts, isLast: isLast) { body($0 * units / parts..<($0 + 1) * units / parts, $1) }
    }

    private static let partsPerThread = 4
}

extension BranchGraph {
    /// Whether a branch is long enough for several threads: waking them takes about 50 microseconds.
    var isWorthSharing: Bool { nodes.reduce(0) { $0 + $1.work } >= 1 << 22 }
}

extension BranchGraph.Node {
    /// Whether an operation is long enough for several threads: that costs some microseconds.
    var isWorthSharing: Bool { work >= 1 << 18 }

    /// What an operation costs, in multiplications; a number that is only read and written counts as some.
    fileprivate var work: Int {
        switch operation {
        case .convolution(let window, let groups, _, _):
            to.elementCount * max(16, window.taps * from.channels / groups)
        case .depthwiseConvolution(let window, _, _), .maxPool(let window), .averagePool(let window):
            to.elementCount * max(16, 4 * window.taps)
        case .fullyConnected: to.channels * from.elementCount
        case .localResponseNormalization(let size, _, _, _): from.elementCount * (16 + size)
        case .scale, .globalAveragePool, .softmax, .add, .multiply, .channelNormalization, .pick, .activation, .prelu,
            .concatenate, .clamp:
            16 * max(from.elementCount, to.elementCount)
        }
    }
}
