import LCPInference
public import LCPModels
import Platform

/// How long a branch takes on this machine.
public enum BranchTime {
    /// The fastest of several runs on one thread with random weights, milliseconds.
    ///
    /// - Throws: `NetworkError` or `InferenceError`.
    public static func milliseconds(_ network: BranchedNetwork, branch: Int = 0, runs: Int = 30) throws -> Double {
        var random = SeededGenerator(seed: 1)
        let parameters = try ModelParameters.random(for: network, using: &random)
        let engine = try BranchEngine(network, branch: branch, of: parameters)
        let pixels = [UInt8](repeating: 127, count: network.input.elementCount)
        var best = Duration.seconds(1_000_000)
        try pixels.withUnsafeBytes { pixels in
            for _ in 0..<runs {
                let start = ContinuousClock.now
                try engine.run(pixels: pixels)
                best = min(best, ContinuousClock.now - start)
            }
        }
        return best / .milliseconds(1)
    }
}
