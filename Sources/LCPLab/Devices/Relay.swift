import FaultInjection
import LCPWire
public import MQTT
import Platform

/// Stands on an emulated device between its roles and the broker, and lets every message come as much later as the link's delay says.
///
/// Only messages (PUBLISH packets) are delayed; what opens a connection is not.
public struct LabRelay: Sendable {
    /// The proxy's address for the device's roles.
    public let url: String
    private let proxy: ChaosProxy

    /// - Parameters:
    ///   - broker: the address it connects to.
    ///   - port: where it listens on this device.
    ///   - delay: added to every message in each direction.
    /// - Throws: `ChaosError` where it cannot listen.
    public init(broker: MQTTAddress, port: Int, delay: Double) throws {
        proxy = try ChaosProxy(
            broker: broker, listen: .tcp(host: "127.0.0.1", port: port),
            plan: FaultPlan(faults: [Fault(.delay(milliseconds: delay, jitter: 0))]))
        url = proxy.url
    }
}
