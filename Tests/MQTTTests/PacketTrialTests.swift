import Testing

@testable import MQTT

@Suite("What a broker does not say about the length of packets") struct PacketTrialTests {
    private static let start = ContinuousClock.now

    /// Connections that are lost so many milliseconds after a packet, and what is refused then.
    private static func refusals(_ trial: inout PacketTrial, _ connections: [(bytes: Int, milliseconds: Int)]) -> [Int?]
    {
        connections.enumerated().map { index, connection in
            let now = start + .seconds(10 * index)
            trial.connected(now: now)
            trial.sent(connection.bytes, now: now)
            trial.lasts(now: now + .milliseconds(connection.milliseconds - 1))
            trial.lost(attempts: 3, now: now + .milliseconds(connection.milliseconds))
            return trial.refused
        }
    }

    @Test("A packet that ends three connections in a row is too long") func found() {
        var trial = PacketTrial()
        #expect(Self.refusals(&trial, [(5000, 3), (4000, 3), (6000, 3)]) == [nil, nil, 4000])
    }

    @Test("A connection that ends without a packet, or long after it, tells nothing") func unrelated() {
        var trial = PacketTrial()
        #expect(
            Self.refusals(&trial, [(5000, 3), (5000, 3), (5000, 1500), (5000, 3), (5000, 3)]).allSatisfy { $0 == nil })
        var other = PacketTrial()
        _ = Self.refusals(&other, [(5000, 3), (5000, 3)])
        other.lost(attempts: 3, now: Self.start)
        #expect(other.refused == nil)
        #expect(Self.refusals(&other, [(5000, 3)]) == [nil])
    }

    @Test("A packet that was taken once is never too long, however often connections end") func proven() {
        var trial = PacketTrial()
        trial.sent(5000, now: Self.start)
        trial.lasts(now: Self.start + .seconds(1))
        #expect(Self.refusals(&trial, Array(repeating: (5000, 3), count: 6)).allSatisfy { $0 == nil })
        #expect(Self.refusals(&trial, Array(repeating: (5001, 3), count: 3)) == [nil, nil, 5001])
    }

    @Test("A link that breaks without long packets, too, is to blame itself", arguments: [0, 1000, 2900])
    func badLink(milliseconds: Int) {
        var trial = PacketTrial()
        _ = Self.refusals(&trial, Array(repeating: (5000, 3), count: 3))
        #expect(trial.refused == 5000)
        let now = Self.start + .seconds(100)
        trial.connected(now: now)
        trial.lasts(now: now + .milliseconds(milliseconds))
        trial.lost(attempts: 3, now: now + .milliseconds(milliseconds))
        #expect(trial.refused == nil)
        // It is as if nothing had been: three connections have to be lost again.
        #expect(Self.refusals(&trial, Array(repeating: (5000, 3), count: 3)) == [nil, nil, 5000])
    }

    @Test("A length that is refused is tried again after 10, 20, 40 seconds and so on, and is good once it passes")
    func again() {
        var trial = PacketTrial()
        var now = Self.start
        for (attempt, wait) in [10, 20, 40, 80, 160, 320, 640, 640].enumerated() {
            // Three losses at first; later one tells.
            for _ in 0..<(attempt == 0 ? 3 : 1) {
                trial.connected(now: now)
                trial.sent(5000, now: now)
                trial.lost(attempts: 3, now: now + .milliseconds(3))
            }
            #expect(trial.refused == 5000)
            now += .seconds(1)
            trial.connected(now: now)
            trial.lasts(now: now + .seconds(wait) - .milliseconds(1))
            #expect(trial.refused == 5000)
            now += .seconds(wait)
            trial.lasts(now: now)
            #expect(trial.refused == nil)
        }
        trial.sent(5000, now: now)
        trial.lasts(now: now + .seconds(1))
        #expect(Self.refusals(&trial, Array(repeating: (5000, 3), count: 6)).allSatisfy { $0 == nil })
    }

    @Test("Short packets are never too long, also while a length is tried again") func short() {
        var trial = PacketTrial()
        #expect(Self.refusals(&trial, Array(repeating: (127, 3), count: 9)).allSatisfy { $0 == nil })
        var other = PacketTrial()
        _ = Self.refusals(&other, Array(repeating: (5000, 3), count: 3))
        let now = Self.start + .seconds(100)
        other.connected(now: now)
        other.lasts(now: now + .seconds(4))
        other.lasts(now: now + .seconds(10))
        other.sent(200, now: now + .seconds(11))
        other.lost(attempts: 3, now: now + .seconds(11))
        #expect(other.refused == nil)
        other.connected(now: now + .seconds(12))
        other.sent(6000, now: now + .seconds(12))
        other.lost(attempts: 3, now: now + .seconds(12))
        #expect(other.refused == 5000)
    }

    @Test("What one was shown to refuse is still refused where a connection ends later") func kept() {
        var trial = PacketTrial()
        _ = Self.refusals(&trial, Array(repeating: (5000, 3), count: 3))
        let now = Self.start + .seconds(100)
        trial.connected(now: now)
        trial.lasts(now: now + .seconds(4))
        trial.lost(attempts: 3, now: now + .seconds(5))
        #expect(trial.refused == 5000)
    }
}
