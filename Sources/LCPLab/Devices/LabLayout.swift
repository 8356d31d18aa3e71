public import LCPWire

/// A place of the lab: a device that computes, or one of those around them, which have a link and no slowness.
public enum LabDevice: Sendable, Hashable {
    case broker, aggregator, sensor
    /// From 1.
    case device(Int)

    /// As people write it.
    public var name: String {
        switch self {
        case .broker: "broker"
        case .aggregator: "aggregator"
        case .sensor: "sensor"
        case .device(let number): "\(number)"
        }
    }

    /// - Parameter name: as people write it.
    public init?(_ name: String) {
        switch name {
        case "broker": self = .broker
        case "aggregator": self = .aggregator
        case "sensor": self = .sensor
        default:
            guard let number = Int(name), number >= 1 else { return nil }
            self = .device(number)
        }
    }

    /// The last part of its address.
    var host: Int {
        switch self {
        case .broker: 1
        case .aggregator: 2
        case .sensor: 3
        case .device(let number): 10 + number
        }
    }
}

/// What a lab's network is made of: names, addresses, and the commands that make and remove it. No I/O.
///
/// A device is a network namespace with a pair of virtual Ethernet interfaces to a bridge. Its link is a token bucket in each
/// direction, or one bucket that all links share, as devices of one radio do.
public struct LabLayout: Sendable, Hashable, Codable {
    /// Distinguishes the labs of a machine; 1 to 7 letters and digits.
    public var name: String
    /// The devices that compute.
    public var devices: Int
    public var megabitsPerSecond: Double
    /// Whether all devices share one medium; otherwise each has a link of its own.
    public var isShared: Bool

    /// What a bridge's addresses have room for.
    public static let maximumDevices = 200

    public init(name: String, devices: Int, megabitsPerSecond: Double, isShared: Bool) {
        self.name = name
        self.devices = devices
        self.megabitsPerSecond = megabitsPerSecond
        self.isShared = isShared
    }

    /// - Throws: ``PipelineError`` where it cannot be made.
    public func validate() throws(PipelineError) {
        guard (1...7).contains(name.utf8.count),
            name.utf8.allSatisfy({ (48...57).contains($0) || (97...122).contains($0) })
        else {
            throw PipelineError(
                .invalidConfiguration, "a lab's name is 1 to 7 small letters and digits, not \(name.debugDescription)")
        }
        guard (1...Self.maximumDevices).contains(devices) else {
            throw PipelineError(
                .invalidConfiguration, "a lab has 1 to \(Self.maximumDevices) devices, not \(devices)")
        }
    }

    public var all: [LabDevice] { [.broker, .aggregator, .sensor] + (1...devices).map(LabDevice.device) }

    /// What all of this lab's names begin with.
    var prefix: String { "lcp-\(name)-" }
    var bridge: String { "lcp-\(name)" }
    /// The interface that all packets pass where the medium is shared.
    var medium: String { "lcp\(name).m" }

    public func namespace(_ device: LabDevice) -> String { prefix + device.name }

    /// The bridge's end of a device's link.
    public func interface(_ device: LabDevice) -> String {
        switch device {
        case .broker: "lcp\(name).b"
        case .aggregator: "lcp\(name).a"
        case .sensor: "lcp\(name).s"
        case .device(let number): "lcp\(name).\(number)"
        }
    }

    /// The device's end of its link.
    public static let deviceInterface = "eth0"

    public func address(_ device: LabDevice) -> String { "10.77.0.\(device.host)" }

    /// The largest packet, with its Ethernet header.
    static let packetBytes = 1514
    /// How late the system may fill a bucket without loss of rate: one of exactly a packet was seen to lose 9 % to late timers.
    static let timerSlack = 40e-6

    /// The token bucket of a link, as `tc` has it: room for a packet, and for what comes while a timer is late.
    var bucket: String {
        let bits = Int((megabitsPerSecond * 1e6).rounded())
        let bytes = Self.packetBytes + Int((megabitsPerSecond * 125_000 * Self.timerSlack).rounded(.up))
        return "tbf rate \(bits)bit burst \(bytes) limit 4000000"
    }

    /// What `ip -batch` makes the network with, line by line.
    var creation: [String] {
        var lines = ["link add \(bridge) type bridge", "link set \(bridge) up"]
        if isShared { lines += ["link add \(medium) type ifb", "link set \(medium) up"] }
        for device in all {
            let (namespace, interface) = (namespace(device), interface(device))
            lines += [
                "netns add \(namespace)",
                "link add \(interface) type veth peer name \(Self.deviceInterface) netns \(namespace)",
                "link set \(interface) master \(bridge) up",
                "netns exec \(namespace) ip link set lo up",
                "netns exec \(namespace) ip addr add \(address(device))/24 dev \(Self.deviceInterface)",
                "netns exec \(namespace) ip link set \(Self.deviceInterface) up",
            ]
            if !isShared {
                lines.append("netns exec \(namespace) tc qdisc add dev \(Self.deviceInterface) root \(bucket)")
            }
        }
        return lines
    }

    /// What `tc -batch` limits the bridge's ends with.
    var limits: [String] {
        guard isShared else { return all.map { "qdisc add dev \(interface($0)) root \(bucket)" } }
        return ["qdisc add dev \(medium) root \(bucket)"]
            + all.flatMap { device in
                [
                    "qdisc add dev \(interface(device)) ingress",
                    "filter add dev \(interface(device)) parent ffff: protocol all u32 match u32 0 0 action mirred egress "
                        + "redirect dev \(medium)",
                ]
            }
    }
}
