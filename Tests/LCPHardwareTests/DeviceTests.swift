import Foundation
import LCPInference
import LCPModels
import Platform
import Testing

@testable import LCPHardware

extension Trait where Self == ConditionTrait {
    /// For tests that need the simulated array.
    static var needsSimulation: Self {
        .enabled(
            if: ProcessInfo.processInfo.environment["LCP_RTL"]?.isEmpty == false,
            "SKIPPED: LCP_RTL names no simulation of the array (make -C Hardware simulation)")
    }
}

/// The array as a worker's device.
@Suite struct DeviceTests {
    let bundle: ModelBundle

    init() throws { bundle = try ModelBundle.find("lenet-split4-int8") }

    /// Runs a device and this processor on the same inputs: pixels, and numbers of which some are nonsense.
    private func expectSameBits(_ device: some BranchComputer, branch: Int) throws {
        let engine = try BranchEngine(bundle: bundle, branch: branch)
        #expect(device.input == engine.input && device.outputKind == engine.outputKind)
        var random = SeededGenerator(seed: 25)
        for _ in 0..<3 {
            let pixels = (0..<784).map { _ in UInt8.random(in: 0...255, using: &random) }
            try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
            try pixels.withUnsafeBytes { try device.run(pixels: $0) }
            #expect(device.output.map(\.bitPattern) == engine.output.map(\.bitPattern))
            var reals = (0..<784).map { _ in Float.random(in: -3...3, using: &random) }
            (reals[3], reals[4], reals[5], reals[6]) = (.nan, .infinity, -.infinity, 1e30)
            try reals.withUnsafeBytes { try engine.run(normalized: $0) }
            try reals.withUnsafeBytes { try device.run(normalized: $0) }
            #expect(device.output.map(\.bitPattern) == engine.output.map(\.bitPattern))
        }
        for count in [0, 783, 785] {
            let input = [UInt8](repeating: 0, count: count)
            #expect(throws: InferenceError.self) { try input.withUnsafeBytes { try device.run(pixels: $0) } }
            #expect(throws: InferenceError.self) { try input.withUnsafeBytes { try device.run(normalized: $0) } }
        }
    }

    @Test("The array by its model gives this processor's bits, and takes the time of its clocks")
    func array() throws {
        let slow = try ArrayComputer(bundle: bundle, branch: 1, shape: ArrayShape(), megahertz: 1)
        #expect(slow.time == .microseconds(slow.clocks) && slow.clocks > 500)
        #expect(try slow.measure() >= slow.time)
        let begin = ContinuousClock.now
        let pixels = [UInt8](repeating: 0, count: 784)
        try pixels.withUnsafeBytes { try slow.run(pixels: $0) }
        // Asleep for the rest of it, however fast this processor is.
        #expect(ContinuousClock.now - begin >= slow.time)
        try expectSameBits(slow, branch: 1)
        #expect(slow.note?.hasPrefix("stands for an array of 32 × 64 cells: \(slow.clocks) clocks") == true)
        let fast = try ArrayComputer(bundle: bundle, branch: 1, shape: ArrayShape(), megahertz: 10_000)
        #expect(fast.note?.contains("this processor takes longer") == true)
    }

    @Test("A model in another arithmetic is refused, and a simulation that is none")
    func refusals() throws {
        let real = try ModelBundle.find("lenet-split4")
        #expect(throws: HardwareError.self) {
            try ArrayComputer(bundle: real, branch: 0, shape: ArrayShape(), megahertz: 100)
        }
        let missing = #expect(throws: HardwareError.self) {
            try SimulatedComputer(bundle: bundle, branch: 0, program: "/nowhere/lcp-rtl")
        }
        #expect(missing?.description.contains("make -C Hardware simulation") == true)
        for program in ["/bin/true", "/usr/bin/yes", "/bin/cat"] {
            #expect(throws: HardwareError.self) {
                try SimulatedComputer(bundle: bundle, branch: 0, program: program)
            }
        }
    }

    @Test("The simulated array gives this processor's bits, also when its process was killed", .needsSimulation)
    func simulated() throws {
        let program = try #require(ProcessInfo.processInfo.environment["LCP_RTL"])
        let device = try SimulatedComputer(bundle: bundle, branch: 2, program: program)
        try expectSameBits(device, branch: 2)
        kill(device.processID, SIGKILL)
        try expectSameBits(device, branch: 2)
        #expect(device.note?.hasPrefix("simulates an array of ") == true)
    }

    @Test(
        "A simulation that ends or hangs is started again once, told, and then counts as gone",
        arguments: [true, false])
    func gone(hangs: Bool) throws {
        let path = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { FileIO.remove(path) }
        // It says that it is an array of 8 × 16, and then reads without an answer, or ends.
        let hello = [1, 8, 16, 8, 64, 5, 2].map { #"\x\#(String($0, radix: 16))\x00\x00\x00"# }.joined()
        let script =
            "#!/bin/bash\nprintf 'LCPH\(hello)'\n" + (hangs ? "exec cat >/dev/null\n" : "head -c 1 >/dev/null\n")
        try FileIO.write(Array(script.utf8), to: path)
        chmod(path, 0o755)
        let pixels = [UInt8](repeating: 0, count: 784)
        do {
            let device = try SimulatedComputer(bundle: bundle, branch: 0, program: path, patience: .milliseconds(300))
            let error = #expect(throws: InferenceError.self) {
                try pixels.withUnsafeBytes { try device.run(pixels: $0) }
            }
            #expect(error?.endsDevice == true)
            #expect(error?.description.contains(hangs ? "it hangs" : "has ended by itself") == true)
            #expect(device.takeComplaint()?.hasSuffix("it is started again") == true && device.takeComplaint() == nil)
        } catch let error as HardwareError {
            // One that ends may do so before it has been given its branch.
            #expect(!hangs && error.description.contains("has ended by itself"))
        }
    }
}
