import Testing

@testable import LCPEvaluation

@Suite struct BranchSubsetsTests {
    @Test func allSetsWhereTheyAreFew() {
        #expect(BranchSubsets(of: 4, missing: 0, limit: 256, seed: 1).masks == [0])
        #expect(BranchSubsets(of: 4, missing: 1, limit: 256, seed: 1).masks == [1, 2, 4, 8])
        #expect(BranchSubsets(of: 4, missing: 2, limit: 6, seed: 1).masks == [3, 5, 6, 9, 10, 12])
        for missing in 0...8 {
            let subsets = BranchSubsets(of: 8, missing: missing, limit: 256, seed: 1)
            #expect(subsets.masks.count == [1, 8, 28, 56, 70, 56, 28, 8, 1][missing])
            #expect(Set(subsets.masks).count == subsets.masks.count && !subsets.isSampled)
            #expect(subsets.masks.allSatisfy { $0.nonzeroBitCount == missing && $0 < 256 })
        }
        #expect(BranchSubsets(of: 64, missing: 1, limit: 64, seed: 1).masks.last == 1 << 63)
        #expect(BranchSubsets(of: 64, missing: 64, limit: 64, seed: 1).masks == [.max])
    }

    @Test(arguments: [(10, 5), (16, 8), (64, 2), (64, 32), (64, 62)])
    func aSampleIsDistinctSeededAndOfTheRightSize(branches: Int, missing: Int) {
        for limit in [1, 2, 100, 251] {
            let subsets = BranchSubsets(of: branches, missing: missing, limit: limit, seed: 7)
            #expect(subsets.isSampled && subsets.masks.count == limit && Set(subsets.masks).count == limit)
            #expect(subsets.masks == subsets.masks.sorted())
            #expect(subsets.masks.allSatisfy { $0.nonzeroBitCount == missing })
            #expect(branches == 64 || subsets.masks.allSatisfy { $0 < UInt64(1) << UInt64(branches) })
            #expect(subsets == BranchSubsets(of: branches, missing: missing, limit: limit, seed: 7))
            if limit == 100 {
                #expect(subsets.masks != BranchSubsets(of: branches, missing: missing, limit: limit, seed: 8).masks)
            }
        }
    }

    @Test func everyBranchIsEquallyLikelyToBeMissing() {
        var counts = [Int](repeating: 0, count: 20)
        for mask in BranchSubsets(of: 20, missing: 6, limit: 4000, seed: 3).masks {
            for branch in 0..<20 where mask & 1 << UInt64(branch) != 0 { counts[branch] += 1 }
        }
        // 1200 expected, and a standard deviation of 29.
        #expect(counts.allSatisfy { abs($0 - 1200) < 150 }, "\(counts)")
    }

    @Test func binomialCoefficients() {
        #expect(BranchSubsets.count(of: 8, missing: 4) == 70 && BranchSubsets.count(of: 1, missing: 1) == 1)
        #expect(BranchSubsets.count(of: 64, missing: 32) == 1_832_624_140_942_590_534)
        #expect(BranchSubsets.count(of: 4, missing: 5) == 0)
    }
}
