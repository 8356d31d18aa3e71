import LCPInference
import LCPModels
import Platform
import Testing

@testable import LCPHardware

@Suite struct HardwareBranchTests {
    static let sizes: [(Int, Int, Int, Int, Int)] = [
        (8, 8, 16, 3, 1), (8, 16, 16, 5, 2), (16, 16, 32, 5, 2), (32, 64, 64, 5, 4), (16, 64, 16, 4, 8),
    ]

    @Test("The array's commands give the bits of this processor, whatever the array's size", arguments: sizes)
    func bits(rows: Int, columns: Int, entries: Int, lines: Int, together: Int) throws {
        let shape = try ArrayShape(rows: rows, columns: columns, entries: entries, lines: lines, together: together)
        let bundle = try ModelBundle.find("lenet-split4-int8")
        var random = SeededGenerator(seed: 25)
        for index in 0..<2 {
            let branch = try HardwareBranch(bundle: bundle, branch: index, shape: shape)
            let engine = try BranchEngine(bundle: bundle, branch: index)
            let pixels = (0..<784).map { _ in UInt8.random(in: 0...255, using: &random) }
            try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
            let output = branch.output(of: branch.numbers(pixels: pixels))
            #expect(output.map(\.bitPattern) == engine.output.map(\.bitPattern))
        }
    }

    @Test("So do branches of random layers of odd sizes", arguments: 0..<60)
    func randomLayers(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let branch = try RandomBranch(using: &random)
        let (rows, columns, entries, lines, together) = Self.sizes[seed % Self.sizes.count]
        let shape = try ArrayShape(rows: rows, columns: columns, entries: entries, lines: lines, together: together)
        let hardware = try HardwareBranch(
            network: branch.network, branch: 0, integers: branch.integers, preprocessing: branch.preprocessing,
            shape: shape)
        let engine = try BranchEngine(
            network: branch.network, branch: 0, integers: branch.integers, preprocessing: branch.preprocessing)
        let pixels = (0..<branch.network.input.elementCount).map { _ in UInt8.random(in: 0...255, using: &random) }
        try pixels.withUnsafeBytes { try engine.run(pixels: $0) }
        let output = hardware.output(of: hardware.numbers(pixels: pixels))
        #expect(output.map(\.bitPattern) == engine.output.map(\.bitPattern), "\(branch.network.branches[0])")
        // Numbers that all are the same would agree by chance.
        #expect(Set(output).count > 1 || output.count < 8)
    }

    @Test("Arrays that cannot be built are refused in a sentence")
    func shapes() throws {
        for (rows, columns, entries, lines, together) in [
            (7, 64, 64, 5, 4), (256, 256, 64, 5, 4), (32, 48, 64, 5, 2), (32, 1024, 64, 5, 4), (32, 64, 63, 5, 4),
            (32, 64, 2, 5, 4), (32, 64, 64, 1, 4), (32, 64, 64, 5, 3), (32, 64, 64, 5, 16), (4, 8, 16, 5, 1),
        ] {
            let error = #expect(throws: HardwareError.self) {
                try ArrayShape(rows: rows, columns: columns, entries: entries, lines: lines, together: together)
            }
            #expect(error?.description.contains("not") == true)
        }
    }

    @Test("The slowest branch is the one that takes longest, and narrow branches take less than the whole network")
    func slowest() throws {
        let shape = try ArrayShape()
        let network = try Network.named("alexnet")
        let split = try network.split(into: 8)
        let each = try split.branches.indices.map { try ArrayProgram(timing: split, branch: $0, shape: shape).clocks() }
        #expect(try split.slowestProgram(on: shape).clocks == each.max())
        #expect(
            try 20 * split.slowestProgram(on: shape).clocks < network.split(into: 1).slowestProgram(on: shape).clocks)
    }

    @Test("A model that is not in the array's arithmetic is refused, and a number that no command holds")
    func refusals() throws {
        let shape = try ArrayShape()
        let bundle = try ModelBundle.find("lenet-split4")
        let error = #expect(throws: HardwareError.self) { try HardwareBranch(bundle: bundle, branch: 0, shape: shape) }
        #expect(error?.description.contains("lcp quantize") == true)
        var command = ArrayCommand()
        #expect(try command.words().count == ArrayCommand.wordCount)
        command.stepsX = 1025
        let tooMany = #expect(throws: HardwareError.self) { try command.words() }
        #expect(tooMany?.description == "the array's commands have 10 bits for steps to the right, and 1024 needs more")
    }
}
