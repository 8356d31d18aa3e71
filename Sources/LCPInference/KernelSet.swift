import CBranchKernels
import LCPModels
import Synchronization

/// Whose kernels compute a branch in single precision.
public enum KernelSet: String, Sendable, Hashable, CaseIterable {
    /// Ours, and XNNPACK's for the operations that we have none for.
    case own = "lcp"
    case xnnpack

    var kernels: Kernels? { self == .own ? Kernels(lanes: lcp_lanes()) : nil }

    /// Those that may be the fastest on this processor. XNNPACK's of 2022 for x86-64 are made for many channels, which narrow branches
    /// do not have; with vectors of four numbers it depends on the processor and on the branch.
    static let candidates: [KernelSet] = lcp_lanes() > 4 ? [.own] : [.own, .xnnpack]

    /// What was measured once is kept, so that everything in this process that computes a branch has the same bits.
    private static let chosen = Mutex<[String: KernelSet]>([:])

    /// The fastest for a branch on this processor, by measurement where there are several.
    ///
    /// - Parameter head: the branch's columns of the classification layer's W, where it applies them.
    static func fastest(
        of candidates: [KernelSet] = candidates, for network: BranchedNetwork, branch: Int,
        parameters: BranchParameters, head: [Float]?, preprocessing: ModelManifest.Preprocessing
    ) throws -> KernelSet {
        guard candidates.count > 1 else { return candidates[0] }
        let key = "\(network.input) \(network.branches[branch]) \(head?.count ?? 0)"
        if let known = chosen.withLock({ $0[key] }) { return known }
        let programs = try candidates.map { set in
            try FloatProgram(
                BranchGraph(
                    lowering: network.branches[branch], shapes: network.shapes(of: branch), parameters: parameters,
                    head: head
                ).optimized(for: set.kernels),
                pixels: PixelScale(preprocessing), kernels: set.kernels)
        }
        let fastest = candidates[try indexOfFastest(programs)]
        // Another thread may have been first: what it chose holds.
        return chosen.withLock { known in
            let choice = known[key] ?? fastest
            known[key] = choice
            return choice
        }
    }

    /// Each once to warm up, then in turns, up to five times or for 50 ms: the least time of each counts.
    private static func indexOfFastest(_ programs: [FloatProgram]) throws(InferenceError) -> Int {
        var times = [Duration](repeating: .seconds(3600), count: programs.count)
        let start = ContinuousClock.now
        for round in 0..<6 {
            for (index, program) in programs.enumerated() {
                let begin = ContinuousClock.now
                for operation in program.operations.indices { try program.run(operation: operation) }
                if round > 0 { times[index] = min(times[index], .now - begin) }
            }
            if round > 0, ContinuousClock.now - start > .milliseconds(50) { break }
        }
        return times.indices.min { times[$0] < times[$1] } ?? 0
    }
}
