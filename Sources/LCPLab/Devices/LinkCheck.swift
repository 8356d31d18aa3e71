import Glibc
import LCPWire
import Platform

/// Times a message over a lab's links, alone, and finds the delay of the relays with which it takes what the profile says.
///
/// A token bucket lets a message's first packet go at once, where a link would take its time, and a relay takes some of its own: the
/// relays' delay makes up for both.
public struct LinkCheck: Sendable, Hashable, Codable {
    /// Of the message.
    public static let bytes = 10_000
    /// What the time may be off, as a part of bytes over rate, and what of a fast link's the timers are good for.
    static let tolerance = (part: 0.02, milliseconds: 0.025)

    /// What the relays add in each direction.
    public var relayMilliseconds: Double
    /// Of the message of ``bytes``, from a device to the broker, median.
    public var measuredMilliseconds: Double
    /// Its bytes on the wire over the rate, and the profile's delay.
    public var expectedMilliseconds: Double

    enum CodingKeys: String, CodingKey {
        case relayMilliseconds = "relay_ms"
        case measuredMilliseconds = "measured_ms"
        case expectedMilliseconds = "expected_ms"
    }

    /// What so many bytes of a TCP connection are on an Ethernet: 66 bytes of headers for each packet of 1,448.
    public static func wireBytes(_ bytes: Int) -> Int { bytes + (bytes + 1447) / 1448 * 66 }

    /// - Parameter lcp: the path of this program, which the relay runs.
    /// - Throws: ``PipelineError`` where no delay makes it right.
    static func run(_ lab: Lab, lcp: String) async throws -> LinkCheck {
        let delay = lab.profile.link.delayMilliseconds * lab.pace.dilation
        let wire = Double(wireBytes(bytes + 8)) / lab.profile.link.bytesPerSecond * 1000 * lab.pace.dilation
        let direct = try await time(lab, relay: nil, lcp: lcp)
        var check = LinkCheck(
            relayMilliseconds: max(0, delay + wire - direct), measuredMilliseconds: 0,
            expectedMilliseconds: delay + wire)
        for _ in 0..<6 {
            check.measuredMilliseconds = try await time(lab, relay: check.relayMilliseconds, lcp: lcp)
            let off = check.measuredMilliseconds - check.expectedMilliseconds
            if abs(off) <= max(tolerance.part * wire, tolerance.milliseconds) { return check }
            guard check.relayMilliseconds > 0 else { break }
            check.relayMilliseconds = max(0, check.relayMilliseconds - off)
        }
        throw PipelineError(
            .resources,
            "a message of \(bytes) bytes takes \(rounded(check.measuredMilliseconds)) ms over the links in place of "
                + "\(rounded(check.expectedMilliseconds)) ms: this machine is too busy, or its timers too coarse, to emulate them"
        )
    }

    /// The median time of a message from device 1 to the broker's device, ms.
    private static func time(_ lab: Lab, relay delay: Double?, lcp: String) async throws -> Double {
        let port: UInt16 = 18_830
        let listener = try NetworkNamespace.run(lab.layout.namespace(.broker)) { try TCP.listen(port: port) }
        defer { close(listener) }
        var child: ChildProcess?
        if let delay { child = try lab.startRelay(on: .device(1), brokerPort: Int(port), delay: delay, lcp: lcp) }
        defer { child?.stop() }
        let target = delay == nil ? lab.layout.address(.broker) : "127.0.0.1"
        let client = try NetworkNamespace.run(lab.layout.namespace(.device(1))) {
            try TCP.connect(target, port: delay == nil ? port : UInt16(Lab.relayPort), patience: .seconds(5))
        }
        defer { close(client) }
        let server = try TCP.accept(listener, patience: .seconds(5))
        defer { close(server) }
        return try await Task.detached { try exchange(client, server) }.value
    }

    private static func exchange(_ client: Int32, _ server: Int32) throws -> Double {
        // CONNECT of MQTT 3.1.1, without a name.
        let hello: [UInt8] = [0x10, 12, 0, 4] + Array("MQTT".utf8) + [4, 2, 0, 60, 0, 0]
        try TCP.send(hello, client)
        _ = try TCP.receive(hello.count, server)
        // PUBLISH at QoS 0 to the topic "x".
        let rest = bytes + 3
        let packet =
            [0x30, UInt8(rest & 0x7F | 0x80), UInt8(rest >> 7), 0, 1, 0x78] + [UInt8](repeating: 0x55, count: bytes)
        var times: [Double] = []
        for _ in 0..<25 {
            usleep(8000)
            let begin = ContinuousClock.now
            try TCP.send(packet, client)
            _ = try TCP.receive(packet.count, server)
            times.append((.now - begin).milliseconds)
        }
        return times.sorted()[times.count / 2]
    }
}
