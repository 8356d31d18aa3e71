import Foundation
import Testing

/// Examples/pytorch has tests of its own; they compare with the program that was built beside these.
@Suite struct PyTorchTests {
    @Test func bundlesAreTheSameInPyTorch() async throws {
        guard let python = try await Python.find(with: "numpy, safetensors, torch") else {
            return print(
                "SKIPPED: no Python with torch and safetensors, so Examples/pytorch is not tried: see its README, and name a "
                    + "Python that has them in LCP_PYTHON")
        }
        let folder = Repository.root.appendingPathComponent("Examples/pytorch").path
        // It computes for minutes, and others beside it wait for each other.
        let outcome = try await run(
            "/usr/bin/env", ["-C", folder, "nice", "-n", "10", python, "-m", "unittest"],
            environment: ["LCP": Repository.lcp, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"],
            limit: .seconds(3600))
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
    }
}
