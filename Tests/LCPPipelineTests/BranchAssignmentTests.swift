import Platform
import Testing

@testable import LCPPipeline

@Suite struct BranchAssignmentTests {
    typealias Worker = BranchAssignment.Worker

    static func worker(_ id: String, _ branches: Set<Int> = [], pinned: Bool = false, ready: Bool = true) -> Worker {
        Worker(id: id, branches: branches, isPinned: pinned, isReady: ready)
    }

    static func assign(_ workers: [Worker], _ count: Int) -> [String: Set<Int>] {
        BranchAssignment(workers, branchCount: count).branches
    }

    @Test func theFirstTakesAllAndTheSecondHalf() {
        #expect(Self.assign([Self.worker("a")], 4) == ["a": [0, 1, 2, 3]])
        #expect(
            Self.assign([Self.worker("a", [0, 1, 2, 3]), Self.worker("b", ready: false)], 4)
                == ["a": [0, 1], "b": [2, 3]])
        // While b is about to take them, a still has them: the answer stays.
        #expect(
            Self.assign([Self.worker("a", [0, 1, 2, 3]), Self.worker("b", [2, 3], ready: false)], 4)
                == ["a": [0, 1], "b": [2, 3]])
    }

    @Test func aSpareTakesALostBranch() {
        let four = [Self.worker("a", [0]), Self.worker("b", [1]), Self.worker("c", [2]), Self.worker("d", [3])]
        let spare = Self.worker("e", ready: false)
        #expect(Self.assign(four + [spare], 4)["e"] == [0])
        let joined = four + [Self.worker("e", [0])]
        let left = joined.filter { $0.id != "c" }
        #expect(Self.assign(left, 4) == ["a": [0], "b": [1], "d": [3], "e": [2]])
    }

    @Test func manyThatClaimTheSameAtOnceAreSpreadInOneStep() {
        let all = (0..<8).map { Self.worker("w\($0)", [0], ready: false) }
        let result = Self.assign(all, 8)
        #expect(Set(result.values) == Set((0..<8).map { [$0] }))
        #expect(result["w0"] == [0])
    }

    @Test func whatIsPinnedStays() {
        let workers = [Self.worker("a", [2], pinned: true), Self.worker("b", [2], pinned: true), Self.worker("c")]
        let result = Self.assign(workers, 4)
        #expect(result["a"] == [2] && result["b"] == [2] && result["c"] == [0, 1, 3])
        #expect(Self.assign([Self.worker("a", [0], pinned: true)], 2) == ["a": [0]])
    }

    /// Whatever is seen, the answer is fair, complete, the same for all, and stays when it has come true.
    @Test func everyAnswerIsFairAndStable() {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<2000 {
            let count = 1 + random.index(9)
            let workers = (0..<1 + random.index(14)).map { number in
                Worker(
                    id: "w\(number)", branches: Set((0..<random.index(4)).map { _ in random.index(count + 2) }),
                    isPinned: false, isReady: random.index(2) == 0)
            }
            let result = Self.assign(workers, count)
            let coverage = (0..<count).map { branch in result.values.filter { $0.contains(branch) }.count }
            let loads = workers.map { result[$0.id]!.count }
            #expect(coverage.min()! >= 1)
            if workers.count >= count {
                #expect(loads.allSatisfy { $0 == 1 } && coverage.max()! - coverage.min()! <= 1)
            } else {
                #expect(coverage.allSatisfy { $0 == 1 } && loads.max()! - loads.min()! <= 1)
            }
            var shuffled = workers
            for index in shuffled.indices { shuffled.swapAt(index, random.index(shuffled.count)) }
            #expect(Self.assign(shuffled, count) == result)
            // When all have what they should have, nobody moves; and while some still hold what they had, too, neither.
            let settled = workers.map { Self.worker($0.id, result[$0.id]!) }
            #expect(Self.assign(settled, count) == result)
        }
    }

    /// Every worker acts on what it sees, in any order, and gives up a branch only when another has it: it settles, and no
    /// branch is ever without a worker once it had one.
    @Test func stepByStepItSettlesAndCoversEveryBranchThroughout() {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<500 {
            let count = 1 + random.index(8)
            var workers = (0..<1 + random.index(10)).map { Self.worker("w\($0)", ready: true) }
            var covered: Set<Int> = []
            var isSettled = false
            for _ in 0..<200 {
                let index = random.index(workers.count)
                let goal = Self.assign(workers, count)[workers[index].id]!
                let others = workers.enumerated().filter { $0.offset != index }.flatMap { Array($0.element.branches) }
                let kept = workers[index].branches.subtracting(goal).filter { !others.contains($0) }
                workers[index].branches = goal.union(kept)
                let now = Set(workers.flatMap { Array($0.branches) })
                #expect(covered.isSubset(of: now))
                covered = now
                let all = Self.assign(workers, count)
                isSettled = workers.allSatisfy { $0.branches == all[$0.id] }
                if isSettled { break }
            }
            #expect(isSettled, "\(workers.map(\.branches)), \(count) branches")
        }
    }
}
