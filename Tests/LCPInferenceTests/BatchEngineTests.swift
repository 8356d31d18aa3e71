import LCPModels
import Platform
import Testing

@testable import LCPInference

@Suite struct BatchEngineTests {
    @Test("Frames that are computed together have the bits that they have one by one", arguments: [1, 2, 3])
    func sameBits(threads: Int) throws {
        for (base, branches) in [(Network.lenet, 2), (.cifarnet, 4), (.alexnet, 8)] {
            let (name, network) = (base.name, try base.split(into: branches))
            var generator = SeededGenerator(seed: 5)
            let parameters = try ModelParameters.random(for: network, using: &generator)
            let merge = try network.mergeWeights(of: 1, merge: parameters.merge)
            let preprocessing = ModelManifest.Preprocessing.usual(for: network.input)
            let pool = threads > 1 ? try ThreadPool(threads: threads) : nil
            let single = try BranchEngine(
                network: network, branch: 1, parameters: parameters.branches[1], mergeWeights: merge,
                preprocessing: preprocessing)
            let batch = try #require(
                try BatchEngine(
                    network: network, branch: 1, parameters: parameters.branches[1], mergeWeights: merge,
                    preprocessing: preprocessing, capacity: 5, pool: pool))
            let frames = (0..<5).map { _ in
                (0..<network.input.elementCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
            }
            for count in [5, 1, 3] {
                var inputs: [BatchEngine.Input] = []
                let copies = frames.prefix(count).map { frame in
                    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: frame.count, alignment: 1)
                    copy.copyBytes(from: frame)
                    inputs.append(.pixels(UnsafeRawBufferPointer(copy)))
                    return copy
                }
                defer { for copy in copies { copy.deallocate() } }
                try batch.run(inputs)
                for index in 0..<count {
                    try frames[index].withUnsafeBytes { try single.run(pixels: $0) }
                    #expect(Array(batch.output(of: index)) == Array(single.output), "\(name), \(count) frames")
                }
            }
            let short = [UInt8](repeating: 0, count: 3)
            #expect(throws: InferenceError.self) {
                try short.withUnsafeBytes { try batch.run([.pixels($0)]) }
            }
        }
    }
}
