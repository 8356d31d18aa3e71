import CLinux
import Platform
import Testing

@Suite("Processors") struct ProcessorsTests {
    @Test("A control group's share of the time counts as whole processors, rounded up")
    func quota() {
        #expect(Processors.quota("50000 100000\n") == 1)
        #expect(Processors.quota("200000 100000") == 2)
        #expect(Processors.quota("250000 100000\n") == 3)
        for none in ["max 100000", "-1\n 100000\n", "", "100000", "0 100000", "5 0", "1 2 3", "a b", " "] {
            #expect(Processors.quota(none) == nil, "\(none)")
        }
        #expect(Processors.quota("\(Int.max) 1") == Int.max)
    }

    @Test("A process that is bound to one processor may use one")
    func bound() async {
        await withCheckedContinuation { done in
            // The binding is a thread's: this one goes away with it.
            let thread = JoinedThread {
                #expect(Processors.available >= 1)
                var bits = [UInt8](repeating: 0, count: 8192)
                #expect(linux_bound_processors(&bits, bits.count) > 0)
                if let index = bits.firstIndex(where: { $0 != 0 }) {
                    let lowest = bits[index] & (~bits[index] &+ 1)
                    bits = bits.indices.map { $0 == index ? lowest : 0 }
                }
                #expect(linux_bind_to_processors(bits, bits.count) == 0)
                #expect(Processors.available == 1)
            }
            #expect(thread != nil)
            thread?.join()
            done.resume()
        }
    }

    @Test(
        "A processor's name is what the system calls it",
        arguments: [
            ("processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Processor\nstepping\t: 8\n", "Intel(R) Xeon(R) Processor"),
            (
                "processor\t: 0\nBogoMIPS\t: 38.40\n\nModel\t\t: Raspberry Pi 3 Model B Plus\n",
                "Raspberry Pi 3 Model B Plus"
            ),
            ("processor\t: 0\nmodel name\nmodel\t: 8\n", nil), ("", nil),
        ] as [(String, String?)])
    func model(text: String, name: String?) { #expect(Processors.model(cpuinfo: text) == name) }
}
