import Glibc
import Testing

@testable import LCPLocal

@Suite("What processes cost") struct ProcessCostsTests {
    @Test("strace's table becomes a number for each call, and anything else none")
    func table() throws {
        let text = """
            syscall              calls
            ---------------- ---------
            read                  4000
            epoll_wait            1002
            write                 1000
            ---------------- ---------
            total                 6002
            """
        let count = try #require(SystemCallCount.parsed(text))
        #expect(count.calls == ["read": 4000, "epoll_wait": 1002, "write": 1000])
        #expect(count.total == 6002)
        #expect(SystemCallCount.parsed("strace: Process 1 attached\n") == nil)
        #expect(SystemCallCount.parsed("") == nil)
    }

    @Test("A process that works has run, and one that is not there costs nothing")
    func ownCosts() {
        let before = ProcessCosts.total(of: [getpid()])
        var sum = 0.0
        for number in 0..<1_000_000 { sum += Double(number).squareRoot() }
        #expect(sum > 0)
        #expect((ProcessCosts.total(of: [getpid()]) - before).runTime > 0)
        let none = ProcessCosts.total(of: [Int32.max])
        #expect(none.runTime == 0 && none.contextSwitches == 0)
    }
}
