import Testing

@testable import LCPTraining

@Suite struct LossWatchTests {
    /// The step, from 0, at which a training of 10 classes is ended; nil where it is not.
    private func end(_ losses: [Double], steps: Int = 1000, first: Double? = nil) -> Int? {
        var watch = LossWatch(classes: 10, first: first)
        return losses.firstIndex { watch.complaint($0, steps: steps) != nil }
    }

    private func wild(_ count: Int, _ loss: Double = 5e35) -> [Double] { Array(repeating: loss, count: count) }

    @Test("A loss that is no number ends a training at once", arguments: [Double.infinity, .nan])
    func noNumber(loss: Double) {
        #expect(end([2.3, loss]) == 1)
        #expect(end([loss]) == 0)
    }

    @Test("A loss beyond reason ends a training when it stays so for 200 steps")
    func diverged() {
        #expect(end([2.3] + wild(199)) == nil)
        #expect(end([2.3] + wild(200)) == 200)
        #expect(end([2.3] + wild(200, 231)) == 200)
    }

    @Test("A short training ends when the loss is beyond reason for half of it", arguments: [2, 3, 40, 399])
    func short(steps: Int) {
        #expect(end([2.3] + wild(steps / 2 - 1), steps: steps) == nil)
        #expect(end([2.3] + wild(steps / 2), steps: steps) == steps / 2)
    }

    @Test("A high learning rate may send the loss up for a while, again and again")
    func spikes() {
        let spike = (0..<150).map { 1e6 / Double($0 + 1) } + [3.1, 2.4]
        #expect(end([2.3] + spike + spike + spike) == nil)
        #expect(end([2.3] + wild(1000, 229)) == nil)
    }

    @Test("A network that begins with a high loss has time to come down from it")
    func highBeginning() {
        #expect(end(wild(1000, 8000)) == nil)
        #expect(end(wild(1) + wild(1000)) == nil)
        #expect(end([8000] + wild(1000)) == 200)
    }

    @Test("After a checkpoint the loss is compared with that of the beginning")
    func resumed() {
        #expect(end(wild(200)) == nil)
        #expect(end(wild(200), first: 2.3) == 199)
    }

    @Test("The sentence tells from where to where the loss has grown")
    func sentence() {
        var watch = LossWatch(classes: 10)
        #expect(watch.complaint(2.5, steps: 2) == nil)
        #expect(watch.complaint(5e35, steps: 2) == "the loss has grown from 2.5 to 5e+35")
    }
}
