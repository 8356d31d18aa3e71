import CBranchKernels
import LCPModels
import Platform
import Synchronization
import Testing

@testable import LCPInference

@Suite("Threads") struct ThreadPoolTests {
    @Test(
        "Every part is computed once, and no two at the same time have the same thread's number",
        arguments: [1, 2, 3, 8])
    func parts(_ threads: Int) throws {
        let pool = try ThreadPool(threads: threads)
        for parts in [0, 1, 2, 7, 64, 1000] {
            // [part]: how often it was computed; [thread]: whether it is in a part.
            let calls = UnsafeMutablePointer<Int>.allocate(capacity: max(1, parts))
            calls.initialize(repeating: 0, count: max(1, parts))
            defer { calls.deallocate() }
            let inside = Atomic<UInt64>(0)
            let clashes = Atomic<Int>(0)
            pool.begin()
            for round in 0..<20 {
                pool.run(parts, isLast: round % 3 == 0) { part, thread in
                    let bit = UInt64(1) << UInt64(thread)
                    let before = inside.bitwiseOr(bit, ordering: .relaxed).oldValue
                    if before & bit != 0 { clashes.add(1, ordering: .relaxed) }
                    calls[part] += 1
                    inside.bitwiseAnd(~bit, ordering: .relaxed)
                }
                #expect((0..<parts).allSatisfy { calls[$0] == round + 1 })
            }
            pool.end()
            #expect(clashes.load(ordering: .relaxed) == 0)
        }
    }

    @Test("What the parts wrote is there when the run returns, also where several callers share the threads")
    func callers() throws {
        // With two runs at a time two threads may still help, and both runs want them.
        let pool = try ThreadPool(threads: 4)
        let wrong = Atomic<Int>(0)
        let callers = (0..<2).map { caller in
            JoinedThread {
                var numbers = [Int](repeating: 0, count: 500)
                for round in 1...300 {
                    numbers.withUnsafeMutableBufferPointer { numbers in
                        nonisolated(unsafe) let numbers = numbers
                        pool.begin()
                        pool.run(25, isLast: round % 2 == 0) { part, _ in
                            for index in part * 20..<part * 20 + 20 { numbers[index] += index + caller }
                        }
                        pool.end()
                    }
                    let isRight = numbers.indices.allSatisfy { numbers[$0] == round * ($0 + caller) }
                    if !isRight { wrong.add(1, ordering: .relaxed) }
                }
            }
        }
        #expect(!callers.contains { $0 == nil })
        for caller in callers { caller?.join() }
        #expect(wrong.load(ordering: .relaxed) == 0)
    }

    @Test("The caller alone computes all where no other thread comes")
    func nobodyComes() throws {
        let pool = try ThreadPool(threads: 2)
        // A second run takes the other thread's place, so that nobody may enter.
        pool.begin()
        pool.begin()
        let others = Atomic<Int>(0)
        pool.run(100, isLast: true) { part, thread in
            if thread != 0 { others.add(1, ordering: .relaxed) }
            // Long enough for the other to wake.
            let end = ContinuousClock.now + .milliseconds(part == 0 ? 50 : 0)
            while .now < end, others.load(ordering: .relaxed) == 0 {}
        }
        #expect(others.load(ordering: .relaxed) == 0)
        pool.end()
        pool.end()
    }

    @Test("The other threads help: a part that waits for another one ends")
    func theyHelp() throws {
        let pool = try ThreadPool(threads: 2)
        pool.begin()
        defer { pool.end() }
        for _ in 0..<50 {
            let arrived = Atomic<Int>(0)
            // Each waits for the other: only two threads get through.
            pool.run(2, isLast: true) { _, _ in
                arrived.add(1, ordering: .relaxed)
                let end = ContinuousClock.now + .seconds(20)
                while arrived.load(ordering: .relaxed) < 2, .now < end {}
            }
            try #require(arrived.load(ordering: .relaxed) == 2)
        }
    }
}

@Suite("Branches on several threads") struct SharedBranchTests {
    private static func engine(
        _ layers: [Layer], _ input: FeatureMapShape, kernels: Kernels?, threads: Int, seed: UInt64
    ) throws -> BranchEngine? {
        let network = BranchedNetwork(
            base: "random", input: input, branches: [layers], classes: 9, merge: .concat)
        guard (try? network.validate()) != nil else { return nil }
        var random = SeededGenerator(seed: seed)
        let parameters = try RandomNetworks.parameters(for: network, using: &random)
        let isPartial = try network.output(of: 0) == .partialLogits
        return try BranchEngine(
            network: network, branch: 0, parameters: parameters.branches[0],
            mergeWeights: isPartial ? network.mergeWeights(of: 0, merge: parameters.merge) : nil,
            preprocessing: .init(
                mean: Array(repeating: 0, count: input.channels),
                standardDeviation: Array(repeating: 1, count: input.channels)), kernels: kernels,
            pool: threads > 1 ? try ThreadPool(threads: threads) : nil, sharesAll: true)
    }

    @Test("Random networks give the same bits on 1, 2, 3 and 5 threads", arguments: BranchEngineTests.kernels)
    func sameBits(_ kernels: Kernels?) throws {
        var random = SeededGenerator(seed: 17)
        for seed in 0..<60 as Range<UInt64> {
            let input = FeatureMapShape(
                height: 1 + random.index(40), width: 1 + random.index(40), channels: 1 + random.index(40))
            try compare(RandomNetworks.layers(&random, input: input), input, kernels, seed: seed)
        }
    }

    @Test("Wide layers, which are cut into channels, give the same bits, too", arguments: BranchEngineTests.kernels)
    func wide(_ kernels: Kernels?) throws {
        let input = FeatureMapShape(height: 9, width: 7, channels: 96)
        let layers: [Layer] = [
            .convolution(outputs: 333, kernel: 3, padding: 1), .relu, .convolution(outputs: 100, kernel: 3), .relu,
            .convolution(outputs: 300, kernel: 3, stride: 2), .fullyConnected(outputs: 77), .relu,
            .fullyConnected(outputs: 5),
        ]
        try compare(layers, input, kernels, seed: 1)
    }

    private func compare(_ layers: [Layer], _ input: FeatureMapShape, _ kernels: Kernels?, seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let values = (0..<input.elementCount).map { _ in random.uniform(-1, 1) }
        var expected: [UInt32]?
        for threads in [1, 2, 3, 5] {
            guard let engine = try Self.engine(layers, input, kernels: kernels, threads: threads, seed: seed) else {
                return
            }
            for _ in 0..<2 {
                try values.withUnsafeBytes { try engine.run(normalized: $0) }
                let bits = engine.output.map(\.bitPattern)
                if let expected {
                    #expect(bits == expected, "\(layers) of \(input) on \(threads) threads")
                } else {
                    expected = bits
                }
            }
        }
    }

    private func note(_ isAsked: inout Bool) -> ThreadPool? {
        isAsked = true
        return nil
    }

    @Test("A short branch starts no threads, a long one does")
    func shortBranches() throws {
        func asks(_ network: Network) throws -> Bool {
            var random = SeededGenerator(seed: 1)
            let split = try network.split(into: 8)
            let parameters = try ModelParameters.random(for: split, using: &random)
            var isAsked = false
            _ = try BranchEngine(
                network: split, branch: 0, parameters: parameters.branches[0], mergeWeights: nil,
                preprocessing: .usual(for: split.input), pool: note(&isAsked))
            return isAsked
        }
        #expect(try !asks(.lenet))
        #expect(try !asks(.cifarnet))
        #expect(try asks(.alexnet))
    }
}
