import LCPWire
import Testing

@testable import LCPSensor

@Suite struct OutboxTests {
    static let start = ContinuousClock.now

    static func drain(_ outbox: inout Outbox, window: Int = .max, at time: ContinuousClock.Instant = start) -> [UInt8] {
        var sent: [UInt8] = []
        while let next = outbox.next(window: window, now: time) { sent += next.message }
        return sent
    }

    @Test func whatHasNoAnswerIsSentAgainInOrder() {
        var outbox = Outbox(patience: .seconds(2))
        for number in 0..<5 as Range<UInt64> { outbox.add(number, [UInt8(number)]) }
        #expect(Self.drain(&outbox) == [0, 1, 2, 3, 4])
        for number in [0, 2] as [UInt64] { outbox.answered(number) }
        outbox.add(5, [5])
        #expect(outbox.waitingCount == 1)
        _ = outbox.sendAgain(now: Self.start)
        outbox.release()
        #expect(Self.drain(&outbox) == [1, 3, 4, 5])
        for number in [1, 3, 4, 5] as [UInt64] { outbox.answered(number) }
        #expect(outbox.count == 0)
    }

    @Test func aWindowLimitsWhatIsOnItsWay() {
        var outbox = Outbox(patience: .seconds(2))
        for number in 0..<5 as Range<UInt64> { outbox.add(number, [UInt8(number)]) }
        #expect(Self.drain(&outbox, window: 2) == [0, 1])
        outbox.answered(0)
        #expect(Self.drain(&outbox, window: 2) == [2])
        // No answer within the patience: it does not hold up the others for ever.
        #expect(Self.drain(&outbox, window: 2, at: Self.start + .seconds(3)) == [3, 4])
    }

    @Test("What has no answer in time is sent again, a few of them at once, and given up after four times")
    func overdue() {
        var outbox = Outbox(patience: .seconds(2))
        for number in 0..<3 as Range<UInt64> { outbox.add(number, [UInt8(number)]) }
        #expect(Self.drain(&outbox) == [0, 1, 2])
        outbox.answered(1)
        #expect(outbox.sendOverdue(most: 9, now: Self.start + .seconds(2)).isEmpty, "a late answer may still come")
        #expect(outbox.sendOverdue(most: 1, now: Self.start + .seconds(3)).count == 1)
        #expect(Self.drain(&outbox, at: Self.start + .seconds(3)) == [0])
        #expect(outbox.sendOverdue(most: 9, now: Self.start + .seconds(4)).count == 1)
        #expect(Self.drain(&outbox, at: Self.start + .seconds(4)) == [2])
        outbox.answered(2)
        for time in [7, 11] {
            #expect(outbox.sendOverdue(most: 9, now: Self.start + .seconds(time)).count == 1 && outbox.unanswered == 0)
            #expect(Self.drain(&outbox, at: Self.start + .seconds(time)) == [0])
        }
        outbox.hold()
        #expect(outbox.sendOverdue(most: 9, now: Self.start + .seconds(15)).isEmpty)
        outbox.release()
        #expect(outbox.sendOverdue(most: 9, now: Self.start + .seconds(15)).count == 1)
        #expect(outbox.count == 0 && outbox.unanswered == 1 && Self.drain(&outbox) == [])
    }

    @Test("What a lost connection took does not count as sent")
    func attemptsAreOfOneConnection() {
        var outbox = Outbox(patience: .seconds(2))
        outbox.add(0, [0])
        for round in 0..<6 {
            let now = Self.start + .seconds(10 * round)
            #expect(Self.drain(&outbox, at: now) == [0])
            _ = outbox.sendAgain(now: now)
            outbox.release()
        }
        #expect(outbox.count == 1 && outbox.unanswered == 0)
    }

    @Test func itsRoomIsBounded() {
        var outbox = Outbox(maximumFrames: 3, maximumBytes: 100, patience: .seconds(2))
        for number in 0..<5 as Range<UInt64> { outbox.add(number, [UInt8(number)]) }
        #expect(outbox.count == 3 && outbox.overflows == 2)
        #expect(Self.drain(&outbox) == [2, 3, 4])
        outbox.add(9, [UInt8](repeating: 9, count: 99))
        #expect(outbox.count == 2)
        outbox.add(10, [UInt8](repeating: 9, count: 1000))
        #expect(outbox.count == 1, "one frame is always kept")
    }

    @Test("After a second reconnect frames wait as long as after the first")
    func aHoldIsNotEndedByTheOneBefore() {
        var outbox = Outbox(patience: .seconds(2))
        outbox.hold()
        outbox.add(0, [0])
        outbox.releaseIfOver(Self.start)
        #expect(outbox.isHeld && Self.drain(&outbox) == [], "without a connection there is no end")
        let first = outbox.sendAgain(now: Self.start).end
        let second = outbox.sendAgain(now: Self.start + .seconds(3)).end
        #expect(first == Self.start + Outbox.defaultLongestHold && second == first + .seconds(3))
        outbox.releaseIfOver(first)
        #expect(Self.drain(&outbox, at: first) == [])
        outbox.releaseIfOver(second)
        #expect(Self.drain(&outbox, at: second) == [0])
        outbox.hold()
        outbox.releaseIfOver(second)
        #expect(outbox.isHeld, "the connection was lost anew")
    }

    @Test("What was sent and has no answer is told, so that it can be asked for, and what waits is not")
    func tellsWhatWasSent() {
        var outbox = Outbox(patience: .seconds(2))
        for number in UInt64(0)..<4 { outbox.add(number, [0]) }
        for _ in 0..<3 { _ = outbox.next(window: 9, now: Self.start) }
        outbox.answered(1)
        #expect(outbox.sendAgain(now: Self.start).sent == [0, 2])
        // It is asked for after a second loss, too, before it could be sent again.
        #expect(outbox.sendAgain(now: Self.start).sent == [])
    }
}
