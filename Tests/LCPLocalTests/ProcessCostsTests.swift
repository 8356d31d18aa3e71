import Platform
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
    func costs() throws {
        // Not this one: threads of other tests end, and what they ran is counted no more.
        let busy = try ChildProcess(executable: "/bin/sh", arguments: ["-c", "while :; do :; done"])
        defer { busy.stop() }
        let before = ProcessCosts.total(of: [busy.processID])
        let limit = ContinuousClock.now + .seconds(60)
        var ran = 0.0
        while ran <= 0, .now < limit { ran = (ProcessCosts.total(of: [busy.processID]) - before).runTime }
        #expect(ran > 0)
        let none = ProcessCosts.total(of: [Int32.max])
        #expect(none.runTime == 0 && none.contextSwitches == 0)
    }
}

@Suite("Instructions by what they are for") struct InstructionCountTests {
    @Test("Each function's own instructions count for one cause, whatever it calls")
    func profile() {
        let profile = """
            # callgrind format
            version: 1
            positions: line
            events: Ir

            ob=(1) /opt/lcp
            fl=(1) ???
            fn=(1) $s3LCP4workyyF
            0 100
            cob=(2) /lib/libc.so.6
            cfn=(2) malloc
            calls=3 0
            0 4000
            +1 11
            cfn=(3) packet__write
            calls=1 0
            * 900

            fn=(3)
            0 20
            cfn=(4) swift_retain
            calls=1 0
            0 7

            fn=(4)
            0 7

            ob=(2)
            fn=(2)
            0 30
            0 3
            fn=(5) _int_free'2
            0 2
            fn=(6) __memcpy_avx_unaligned_erms
            0 50
            fn=(7) epoll_wait
            0 60

            ob=(3) /lib/libmosquitto.so.1
            fn=(8) memory_reserve
            0 70
            totals: 353
            """
        let count = InstructionCount(profile: profile, program: "/opt/lcp")
        #expect(
            count.causes == [
                .role: 111, .libmosquitto: 90, .swift: 7, .memory: 35, .copying: 50, .system: 60,
            ])
        #expect(count.total == 353)
    }

    @Test("Anything else than a profile counts nothing, and stops nothing")
    func noProfile() {
        for text in ["", "fn=(", "fn=)\n0", "calls=\n1 2\n=\n+ -\nfn=(9)\n", "7"] {
            #expect(InstructionCount(profile: text, program: "/opt/lcp").total == 0, "\(text)")
        }
    }
}
