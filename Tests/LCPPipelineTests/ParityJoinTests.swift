import LCPInference
import Testing

@testable import LCPPipeline

/// Two branches and a third, which stands in for either.
@Suite("The parity branch in the join") struct ParityJoinTests {
    private func bench() -> JoinerBench {
        var bench = JoinerBench(branches: [])
        bench.tellsSums = true
        _ = bench.add(branches: 3, parity: 2)
        return bench
    }

    @Test("Where all others answer, a frame does not wait for it, and its share is no late one")
    func notNeeded() {
        var bench = bench()
        #expect(bench.receive(0, value: 1) == [.armed(milliseconds: 100)])
        #expect(bench.receive(1, value: 2) == [.answered(1, branches: 0b011, sum: 3)])
        #expect(bench.receive(2, value: 50) == [])
        // An ordinary branch's is.
        #expect(bench.receive(1, value: 2) == [.dropped(.late)])
    }

    @Test("A share that came before the others is left out of the sum where all of them answer")
    func early() {
        var bench = bench()
        _ = bench.receive(2, value: 50)
        _ = bench.receive(0, value: 1)
        #expect(bench.receive(1, value: 2) == [.answered(1, branches: 0b111, sum: 3)])
    }

    @Test("It takes the place of a branch that is missing at the deadline")
    func standsIn() {
        var bench = bench()
        _ = bench.receive(0, value: 1)
        #expect(bench.receive(2, value: 50) == [])
        // What it says in place of branch 1.
        #expect(bench.deadline(after: 100) == [.answered(1, branches: 0b101, sum: 101)])
        _ = bench.receive(1, frame: 2, value: 2)
        _ = bench.receive(2, frame: 2, value: 50)
        #expect(bench.deadline(after: 100) == [.answered(2, branches: 0b110, sum: 52)])
        // And in place of both.
        _ = bench.receive(2, frame: 3, value: 50)
        #expect(bench.deadline(after: 100) == [.answered(3, branches: 0b100, sum: 150)])
    }

    @Test("Where nobody serves a branch, a frame is answered as soon as the parity branch has answered")
    func unserved() {
        var bench = bench()
        _ = bench.receive(0, value: 1, served: 0b101)
        #expect(bench.receive(2, value: 50, served: 0b101) == [.answered(1, branches: 0b101, sum: 101)])
    }

    @Test(
        "What is missing, and what the sum lacks, follows from the branches that were received",
        arguments: [
            (UInt64(0b011), false, 0, UInt64(0)), (0b111, false, 0, 0), (0b101, true, 0, 0b010),
            (0b110, true, 0, 0b001),
            (0b100, true, 0, 0b011), (0b001, false, 1, 0b110), (0, false, 2, 0b111),
        ])
    func sets(received: UInt64, usesParity: Bool, lacking: Int, missing: UInt64) {
        let branches = JoinedBranches(count: 3, parity: 2)
        #expect(branches.usesParity(received) == usesParity && branches.lacking(received) == lacking)
        #expect(branches.missing(received) == missing && branches.rowCount == 4 && branches.rows(of: 2) == 2..<4)
        // Without one nothing stands in.
        let plain = JoinedBranches(count: 3)
        #expect(plain.missing(received) == 0b111 & ~received && !plain.usesParity(received))
        #expect(plain.lacking(received) == 3 - received.nonzeroBitCount && plain.rowCount == 3)
    }
}
