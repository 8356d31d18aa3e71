import Testing

@testable import MQTT

@Suite("What a broker does not say about the length of packets") struct PacketTrialTests {
    private static let start = ContinuousClock.now

    /// Connections that are lost so many milliseconds after a packet.
    private static func refusals(_ trial: inout PacketTrial, _ connections: [(bytes: Int, milliseconds: Int)]) -> [Int?]
    {
        connections.enumerated().map { index, connection in
            let now = start + .seconds(10 * index)
            trial.sent(connection.bytes, now: now)
            trial.lasts(now: now + .milliseconds(connection.milliseconds - 1))
            return trial.lost(attempts: 3, now: now + .milliseconds(connection.milliseconds))
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
        #expect(other.lost(attempts: 3, now: Self.start) == nil)
        #expect(Self.refusals(&other, [(5000, 3)]) == [nil])
    }

    @Test("A packet that was taken once is never too long, however often connections end") func proven() {
        var trial = PacketTrial()
        trial.sent(5000, now: Self.start)
        trial.lasts(now: Self.start + .seconds(1))
        #expect(Self.refusals(&trial, Array(repeating: (5000, 3), count: 6)).allSatisfy { $0 == nil })
        #expect(Self.refusals(&trial, Array(repeating: (5001, 3), count: 3)) == [nil, nil, 5001])
    }
}
