import LCPWire

/// What a frame of branches takes at least: its bytes over the links, one after the other where they share one, the delays, and the
/// slowest branch's decoding and computing with nothing else going on.
struct LowerBound: Sendable, Hashable {
    var link: DeviceProfile.Link
    var branches: Int
    /// Of a branch's message, and of the prediction.
    var featureBytes: Int
    var predictionBytes: Int
    /// The slowest branch's, on the device.
    var networkMilliseconds: Double

    /// MQTT's own bytes around a message: its length, and topics as long as those of the lab.
    static let topicBytes = 32

    /// What a message takes of a link, milliseconds.
    private func time(_ bytes: Int) -> Double {
        Double(LinkCheck.wireBytes(bytes + Self.topicBytes)) / link.bytesPerSecond * 1000
    }

    /// - Parameters:
    ///   - inputBytes: of the sensor's message.
    ///   - encode: what the sensor took to make it, milliseconds.
    ///   - decode: what a device takes to read it, milliseconds.
    func milliseconds(inputBytes: Int, encode: Double, decode: Double) -> Double {
        // The sensor's link; the broker's, with a copy for every branch; a branch's; the aggregator's; the sensor's again.
        encode + time(inputBytes) + Double(branches) * time(inputBytes) + decode + networkMilliseconds
            + 2 * time(featureBytes) + 2 * time(predictionBytes) + 6 * link.delayMilliseconds
    }
}
