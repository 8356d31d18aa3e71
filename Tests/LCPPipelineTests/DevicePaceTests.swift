import Platform
import Testing

@testable import LCPPipeline

@Suite struct DevicePaceTests {
    @Test("A frame leaves an emulated device when that would be done, and not before the one before it")
    func departures() {
        var pace = DevicePace(EmulatedDevice(slowness: 10, networkTime: .milliseconds(1)))
        let begin = ContinuousClock.now
        #expect(pace.start(of: begin + .seconds(1)) == begin + .seconds(1))
        // The network's time does not depend on what this thread used.
        #expect(pace.networkTime(since: pace.now) == .milliseconds(10))
        // Nor does decoding's, which goes by a picture's bytes.
        let decoding = DevicePace(EmulatedDevice(slowness: 10, decodeTime: .microseconds(20)))
        #expect(decoding.decodeTime(since: decoding.now, bytes: 12_000) == .microseconds(2400))
        pace.waitUntilDone(
            received: begin, captured: 0, decode: .milliseconds(5), compute: .milliseconds(10), since: pace.now)
        #expect(ContinuousClock.now >= begin + .milliseconds(15))
        // The next came meanwhile, and has to wait.
        let start = pace.start(of: begin + .milliseconds(1))
        #expect(start >= begin + .milliseconds(15))
        pace.waitUntilDone(
            received: begin + .milliseconds(1), captured: 0, decode: .zero, compute: .milliseconds(4), since: pace.now)
        #expect(ContinuousClock.now >= start + .milliseconds(4))
    }

    @Test("Without a network's time, this thread's processor time counts, and sleeping does not")
    func processorTime() {
        let pace = DevicePace(EmulatedDevice(slowness: 1000))
        let begin = pace.now
        sleepThread(until: .now + .milliseconds(20))
        #expect(pace.time(since: begin) < .seconds(10))
        var sum: UInt64 = 0
        let end = ContinuousClock.now + .milliseconds(5)
        while ContinuousClock.now < end { sum &+= 1 }
        #expect(sum > 0 && pace.networkTime(since: begin) > .milliseconds(100))
    }

    @Test("This machine's own device waits for nothing")
    func ownDevice() {
        var pace = DevicePace(nil)
        let received = ContinuousClock.now + .seconds(100)
        pace.waitUntilDone(received: received, captured: 0, decode: .seconds(100), compute: .zero, since: pace.now)
        #expect(ContinuousClock.now < received)
        #expect(!pace.isEmulated && pace.missed == 0)
    }

    @Test("A moment is missed where a frame leaves more than 2 % of its age too late")
    func missedMoments() {
        #expect(!DevicePace.isMissed(by: .milliseconds(2), age: .milliseconds(100)))
        #expect(DevicePace.isMissed(by: .microseconds(2001), age: .milliseconds(100)))
        #expect(!DevicePace.isMissed(by: .milliseconds(-5), age: .milliseconds(1)))
    }

    @Test("Moments that are missed are counted, but for the first frames")
    func missesAreCounted() {
        var pace = DevicePace(EmulatedDevice(slowness: 1))
        for _ in 0..<8 {
            // Due long ago.
            let received = ContinuousClock.now - .seconds(1)
            pace.waitUntilDone(
                received: received, captured: wallClockNanoseconds(), decode: .zero, compute: .zero,
                since: pace.now)
        }
        #expect(pace.missed == 5)
    }
}
