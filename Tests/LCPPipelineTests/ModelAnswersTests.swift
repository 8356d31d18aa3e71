import LCPWire
import Testing

@testable import LCPPipeline

@Suite struct ModelAnswersTests {
    static let start = ContinuousClock.now
    static let file = ModelRequest(file: String(repeating: "a", count: 64))

    static func after(_ milliseconds: Int) -> ContinuousClock.Instant { start + .milliseconds(milliseconds) }

    @Test("Of two devices that have a file, one gives it")
    func oneAnswers() {
        var (first, second) = (ModelAnswers(), ModelAnswers())
        first.heard(Self.file, now: Self.start, delay: .milliseconds(100))
        second.heard(Self.file, now: Self.start, delay: .milliseconds(200))
        #expect(first.nextDue == Self.after(100) && first.time(Self.after(99)) == [])
        #expect(first.time(Self.after(100)) == [Self.file] && first.nextDue == nil)
        second.heard(.init(file: Self.file.file, isGiven: true), now: Self.after(101), delay: .zero)
        #expect(second.nextDue == nil && second.time(Self.after(300)) == [])
    }

    @Test("Who does not have it is silent, and what was just given is not given again at once")
    func silence() {
        var answers = ModelAnswers()
        answers.heard(Self.file, now: Self.start, delay: nil)
        #expect(answers.nextDue == nil)
        answers.heard(Self.file, now: Self.start, delay: .zero)
        #expect(answers.time(Self.start) == [Self.file])
        answers.heard(Self.file, now: Self.after(900), delay: .zero)
        #expect(answers.time(Self.after(900)) == [])
        answers.heard(ModelRequest(), now: Self.after(900), delay: .zero)
        #expect(answers.time(Self.after(900)) == [ModelRequest()], "the manifest is another thing")
        answers.heard(Self.file, now: Self.after(1000), delay: .zero)
        #expect(answers.time(Self.after(1000)) == [Self.file])
    }

    @Test("Who asks for the manifest just after another one got it gets it, too")
    func twoAsk() {
        var (first, second) = (ModelAnswers(), ModelAnswers())
        let manifest = ModelRequest()
        first.heard(manifest, now: Self.start, delay: .zero)
        #expect(first.time(Self.start) == [manifest])
        second.heard(ModelRequest(isGiven: true), now: Self.start, delay: nil)
        for delay in [0, 100] {
            var (a, b) = (first, second)
            a.heard(manifest, now: Self.after(10), delay: .milliseconds(delay))
            b.heard(manifest, now: Self.after(10), delay: .milliseconds(300))
            #expect(a.nextDue == Self.after(250) && b.nextDue == Self.after(310))
            #expect(a.time(Self.after(249)) == [] && a.time(Self.after(250)) == [manifest])
            b.heard(ModelRequest(isGiven: true), now: Self.after(251), delay: nil)
            #expect(b.nextDue == nil)
        }
    }

    @Test("Strangers who ask without end do not fill the memory")
    func bounded() {
        var answers = ModelAnswers()
        for number in 0..<1000 {
            answers.heard(ModelRequest(file: "\(number)"), now: Self.start, delay: .zero)
            answers.heard(ModelRequest(file: "x\(number)", isGiven: true), now: Self.start, delay: nil)
        }
        #expect(answers.time(Self.start).count == ModelAnswers.maximumOpen)
    }
}
