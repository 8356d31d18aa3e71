import Foundation
import LCPDatasets
import LCPModels
import LCPTraining
import Platform
import Testing

@testable import LCPSearch

@Suite("The search for shapes") struct ShapeSearchTests {
    private static func search(_ limits: ShapeSearch.Limits, seed: UInt64 = 1) throws -> ShapeSearch {
        try ShapeSearch(base: try Network.named("cifarnet-bn"), limits: limits, seed: seed, measure: milliseconds)
    }

    /// A time that is as long as there are multiplications.
    private static func milliseconds(_ network: BranchedNetwork) throws -> Double {
        Double(try network.macs(of: 0)) / 1e6
    }

    /// Plays generations; a shape is as good as this says.
    private static func play(
        _ search: inout ShapeSearch, generations: Int, accuracy: (ShapeSearch.Member) -> Double
    ) -> [ShapeSearch.Work] {
        var works: [ShapeSearch.Work] = []
        for generation in 0..<generations {
            if generation > 0 { search.beginGeneration(measure: Self.milliseconds) }
            while let work = search.next {
                works.append(work)
                search.record(accuracy: accuracy(search.members[work.member]))
            }
        }
        return works
    }

    @Test(
        "All shapes of a generation are trained for an epoch, the better third for more, and of these the better third")
    func halving() throws {
        var search = try Self.search(.init(devices: 8))
        let works = Self.play(&search, generations: 2) { 1 - 1 / Double($0.parameters) }
        for generation in 0..<2 {
            let own = works.filter { search.members[$0.member].generation == generation }
            let counts = ShapeSearch.epochs.map { epochs in own.count { $0.epochs == epochs } }
            #expect(counts == [ShapeSearch.size, ShapeSearch.size / 3, ShapeSearch.size / 9])
        }
        #expect(Set(search.members.map(\.shape)).count == search.members.count)
    }

    @Test("Every shape keeps to the limits, and where none can, a sentence says so")
    func limits() throws {
        let plain = try Network.named("cifarnet-bn").split(into: 8, fattening: 75)
        let limits = ShapeSearch.Limits(
            devices: 8, parameters: try plain.parameterCount(), latency: try Self.milliseconds(plain))
        var search = try Self.search(limits)
        _ = Self.play(&search, generations: 3) { Double($0.macs) / 1e9 }
        #expect(search.members.count == 3 * ShapeSearch.size)
        for member in search.members {
            let network = try member.shape.network(of: search.base)
            #expect(try network.parameterCount() <= limits.parameters! && Self.milliseconds(network) <= limits.latency!)
            #expect(network.branches.count == 8)
        }
        let error = #expect(throws: NetworkError.self) { try Self.search(.init(devices: 8, parameters: 10)) }
        #expect(error?.description.contains("keeps to the limits") == true)
    }

    @Test("Branches are joined in one way only where that is wanted", arguments: Merge.allCases)
    func merge(merge: Merge) throws {
        var search = try Self.search(.init(devices: 8, merge: merge))
        _ = Self.play(&search, generations: 3) { Double($0.macs % 997) / 997 }
        #expect(search.members.count == 3 * ShapeSearch.size && search.members.allSatisfy { $0.shape.merge == merge })
    }

    @Test("The front has what no other shape is better than, and the search goes where accuracy is")
    func front() throws {
        var search = try Self.search(.init(devices: 8))
        // Wide second convolutions are good, and nothing else.
        _ = Self.play(&search, generations: 6) { min(0.9, Double($0.shape.convolutions[1].width) / 100) }
        let front = search.front.map { search.members[$0] }
        #expect(!front.isEmpty && zip(front, front.dropFirst()).allSatisfy { $0.macs < $1.macs })
        #expect(zip(front, front.dropFirst()).allSatisfy { $0.accuracy! < $1.accuracy! })
        let first = search.members.filter { $0.generation == 0 }.compactMap(\.accuracy).max()!
        #expect(front.last!.accuracy! > first)
    }

    @Test("The same seed proposes the same shapes, another one others")
    func seeds() throws {
        func shapes(_ seed: UInt64) throws -> [BranchShape] {
            var search = try Self.search(.init(devices: 4), seed: seed)
            _ = Self.play(&search, generations: 2) { Double($0.parameters % 1000) / 1000 }
            return search.members.map(\.shape)
        }
        #expect(try shapes(1) == shapes(1) && shapes(1) != shapes(2))
    }
}

@Suite("A search from data to bundles") struct SearchRunTests {
    private static func run(_ folder: String) throws -> SearchRun {
        let base = Network(
            name: "tiny", input: .init(height: 28, width: 28, channels: 1),
            layers: [
                .convolution(outputs: 4, kernel: 5, stride: 2), .relu, .maxPool(size: 2, stride: 2),
                .fullyConnected(outputs: 8), .relu,
            ], classes: 10, merge: .concat)
        var recipe = TrainingRecipe()
        (recipe.epochs, recipe.batchSize) = (1, 32)
        let training = TrainingRun(
            network: try base.split(into: 2), name: "tiny", recipe: recipe, data: [.drawn(count: 128)], folder: folder)
        var run = SearchRun(
            training: training, base: base, limits: .init(devices: 2), budget: 0.001, folder: "\(folder)/search")
        (run.validation, run.bundles) = (0.25, 1)
        return run
    }

    @Test("Data that do not fit leave no folder behind")
    func wrongData() throws {
        let folder = try TemporaryFolder()
        var run = try Self.run(folder.path)
        run.training.data = [try DataSpecification("mnist:\(folder.path)/nowhere", defaultDrawnCount: 1)]
        #expect(throws: (any Error).self) { try run.run(isResumed: false) { _ in true } }
        #expect(!FileIO.exists(run.folder))
    }

    @Test("Leaves a bundle of the front, and one that was stopped goes on where it was")
    func stopped() throws {
        let folder = try TemporaryFolder()
        let run = try Self.run(folder.path)
        var tried = 0
        #expect(throws: CancellationError.self) {
            try run.run(isResumed: false) { event in
                if case .tried = event { tried += 1 }
                return tried < 5
            }
        }
        let refusal = #expect(throws: TrainingError.self) { try run.run(isResumed: false) { _ in true } }
        #expect(refusal?.description.contains("--resume") == true)
        var other = run
        other.training.seed = 2
        let error = #expect(throws: TrainingError.self) { try other.run(isResumed: true) { _ in true } }
        #expect(error?.description.contains("another search") == true)
        var more = 0
        let outcome = try run.run(isResumed: true) { event in
            if case .tried = event { more += 1 }
            return true
        }
        let trials = ShapeSearch.size + ShapeSearch.size / 3 + ShapeSearch.size / 9
        #expect(tried + more == trials)
        let trained = try #require(outcome.trained.first)
        let bundle = try ModelBundle(path: "\(run.folder)/\(trained.bundle)")
        let shape = outcome.members[trained.member].shape
        #expect(try bundle.network == shape.network(of: run.base) && bundle.network.branches.count == 2)
        #expect(outcome.front.contains(trained.member))
        // What is done is not done again.
        let again = try run.run(isResumed: true) { event in
            if case .progress = event { return false }
            return true
        }
        #expect(again.trained == outcome.trained)
    }
}

/// A folder that goes with it.
private final class TemporaryFolder {
    let path = "/tmp/lcp-test-\(UUID().uuidString)"

    init() throws { try FileIO.makeFolder(path) }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
