import FoundationEssentials
import Glibc
public import LCPWire
import Platform

/// Emulated devices on this machine: made by ``up(_:)``, kept until ``down(name:)``, also when this process is gone.
public struct Lab: Sendable {
    /// What devices are emulated with.
    public enum Kind: String, Sendable, Hashable, Codable {
        /// Each has a network namespace with a link of its profile's rate, and its memory.
        case namespaces
        /// All are processes of this machine, with its network and memory: what is left without root.
        case processes
    }

    public let kind: Kind
    public let layout: LabLayout
    public let profile: DeviceProfile
    public let pace: LabPace
    /// How well the links keep to the profile; nil where there are none.
    public internal(set) var check: LinkCheck?

    /// What stands on every result.
    public var label: String {
        profile.label + (kind == .namespaces ? "" : ", plain processes: no links, no memory limits")
            + (pace.dilation == 1 ? "" : ", time dilated \(rounded(pace.dilation)) ×")
    }

    private struct State: Codable {
        var layout: LabLayout
        var profile: DeviceProfile
        var pace: LabPace
        var check: LinkCheck?
        var owner: Int32?
    }

    /// The process that ends with it; nil for one that stays.
    private var owner: Int32?

    private static let folder = "/run/lcp"
    private static var stateFiles: [String] { (try? FileIO.list(folder)) ?? [] }
    private static func file(_ name: String) -> String { "\(folder)/lab-\(name).json" }

    // MARK: Up and down

    /// Devices without links of their own.
    public static func processes(_ profile: DeviceProfile, _ pace: LabPace, devices: Int) -> Lab {
        Lab(
            kind: .processes,
            layout: LabLayout(
                name: "none", devices: devices, megabitsPerSecond: profile.link.megabitsPerSecond, isShared: false),
            profile: profile, pace: pace)
    }

    /// Why this process cannot make a lab; nil where it can.
    public static var obstacle: String? {
        guard getuid() == 0 else { return "emulated devices need root: run it with sudo" }
        guard mayMakeNetworks((try? FileIO.read("/proc/self/status", limit: 1 << 16)) ?? []) else {
            return
                "root may make no networks here, as in most containers: emulated devices need CAP_SYS_ADMIN and CAP_NET_ADMIN"
        }
        for program in ["ip", "tc"] where ChildProcess.find(program) == nil {
            return "emulated devices need the program \(program): install it with `sudo apt install iproute2`"
        }
        return nil
    }

    /// Makes a lab, and sees to it that its links are as the profile says.
    ///
    /// - Parameters:
    ///   - devices: those that compute.
    ///   - isShared: whether all have one medium; otherwise each has a link of its own.
    ///   - lcp: the path of this program.
    ///   - owner: the process that takes it down at its end; nil for a lab that stays.
    /// - Throws: ``PipelineError``: no root, no `ip`, a kernel without a feature, a lab of that name that is there already, more
    ///   devices than the machine can emulate. Nothing is left then.
    public static func up(
        _ profile: DeviceProfile, _ pace: LabPace, name: String = "lab", devices: Int, isShared: Bool = false,
        lcp: String, owner: Int32? = nil
    ) async throws -> Lab {
        let layout = LabLayout(
            name: name, devices: devices, megabitsPerSecond: profile.link.megabitsPerSecond / pace.dilation,
            isShared: isShared)
        try layout.validate()
        try check(name: name)
        try pace.check(devices: devices, profile)
        var lab = try make(layout, profile, pace, owner)
        do {
            try Task.checkCancellation()
            lab.check = try await LinkCheck.run(lab, lcp: lcp)
            try Task.checkCancellation()
            try lab.writeState()
            return lab
        } catch {
            _ = try? down(name: name)
            throw error
        }
    }

    /// Whether a process may make network namespaces and links, by its `status` in /proc (capabilities(7)).
    static func mayMakeNetworks(_ status: [UInt8]) -> Bool {
        let line = String(decoding: status, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        guard let word = line?.split(whereSeparator: \.isWhitespace).last, let bits = UInt64(word, radix: 16) else {
            // Where it cannot be read, trying tells.
            return true
        }
        let needed: UInt64 = 1 << 12 | 1 << 21
        return bits & needed == needed
    }

    /// Whether a lab of a name can be made here.
    ///
    /// - Throws: ``PipelineError``: no root, no `ip`, a lab of that name that is there already.
    public static func check(name: String) throws(PipelineError) {
        if let obstacle { throw PipelineError(.resources, obstacle) }
        guard leftovers(of: name).isEmpty else {
            throw PipelineError(
                .invalidConfiguration,
                (state(of: name)?.owner.map { "process \($0) uses it: " } ?? "")
                    + "a lab of that name is up already, or was left behind by a crash: take it down with "
                    + "`lcp lab down\(name == "lab" ? "" : " --name \(name)")`")
        }
    }

    private static func make(
        _ layout: LabLayout, _ profile: DeviceProfile, _ pace: LabPace, _ owner: Int32?
    ) throws(PipelineError) -> Lab {
        var lab = Lab(kind: .namespaces, layout: layout, profile: profile, pace: pace)
        lab.owner = owner
        do {
            try lab.writeState()
            try lab.makeNetwork()
            if let groups = MemoryGroups() {
                for number in 1...layout.devices {
                    try groups.make(layout.namespace(.device(number)), mebibytes: profile.memoryMiB)
                }
            }
            return lab
        } catch {
            _ = try? down(name: layout.name)
            throw error as? PipelineError ?? PipelineError(.resources, "\(error)")
        }
    }

    private func writeState() throws {
        try FileIO.makeFolder(Self.folder)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        let state = try encoder.encode(State(layout: layout, profile: profile, pace: pace, check: check, owner: owner))
        try FileIO.write(Array(state), to: Self.file(layout.name))
    }

    private func makeNetwork() throws(PipelineError) {
        do throws(PipelineError) {
            try SystemProgram.run("ip", ["-batch", "/proc/self/fd/3"], batch: layout.creation)
        } catch {
            throw PipelineError(
                error.code,
                "\(error): the kernel has to have network namespaces, veth, bridge and the token bucket sch_tbf")
        }
        do throws(PipelineError) {
            try SystemProgram.run("tc", ["-batch", "/proc/self/fd/3"], batch: layout.limits)
        } catch {
            throw PipelineError(
                error.code,
                "\(error): the kernel has to have the token bucket sch_tbf"
                    + (layout.isShared ? ", and for a shared medium ifb, cls_u32 and act_mirred" : ""))
        }
    }

    /// The lab that is up.
    ///
    /// - Throws: ``PipelineError`` where there is none.
    public static func current(name: String = "lab") throws(PipelineError) -> Lab {
        guard let state = state(of: name) else {
            let command = "lcp lab up --profile rpi3b+ --devices 8"
            throw PipelineError(
                .invalidConfiguration, "there is no lab\(others(than: name)): make one with `\(command)`")
        }
        return Lab(
            kind: .namespaces, layout: state.layout, profile: state.profile, pace: state.pace, check: state.check)
    }

    private static func state(of name: String) -> State? {
        (try? FileIO.read(file(name), limit: 1 << 20)).flatMap { try? JSONDecoder().decode(State.self, from: Data($0)) }
    }

    /// The labs of other names, in words that stand behind "there is no lab"; empty where there are none.
    public static func others(than name: String) -> String {
        let names = stateFiles.filter { $0.hasPrefix("lab-") && $0.hasSuffix(".json") }
            .map { String($0.dropFirst(4).dropLast(5)) }.filter { $0 != name }.sorted()
        return names.isEmpty ? "" : " of that name, but \(names.map { "--name \($0)" }.joined(separator: ", "))"
    }

    /// Takes a lab down whose owner is gone, without having done so itself.
    ///
    /// - Throws: ``PipelineError`` where something cannot be removed.
    static func clearAbandoned(name: String) throws(PipelineError) {
        let state = state(of: name)
        let isGone = state?.owner.map { kill($0, 0) != 0 && errno == ESRCH } ?? false
        // Killed before its state was written.
        let isNothing = state == nil && leftovers(of: name) == files(of: name)
        if isGone || isNothing { try down(name: name) }
    }

    /// Everything that belongs to a lab, also to one that was only half made.
    static func leftovers(of name: String) -> [String] {
        namespaces(of: name) + interfaces(of: name) + groups(of: name) + files(of: name)
    }

    /// Its state, also one that was being written.
    private static func files(of name: String) -> [String] {
        stateFiles.map { "\(folder)/\($0)" }.filter {
            $0 == file(name) || ($0.hasPrefix(file(name) + ".") && $0.hasSuffix(".part"))
        }
    }

    /// All names are made from the lab's, however many devices it has.
    private static func names(of lab: String) -> LabLayout {
        LabLayout(name: lab, devices: 1, megabitsPerSecond: 1, isShared: true)
    }

    private static func namespaces(of name: String) -> [String] {
        ((try? FileIO.list("/run/netns")) ?? []).filter { $0.hasPrefix(names(of: name).prefix) }
    }

    private static func interfaces(of name: String) -> [String] {
        ((try? FileIO.list("/sys/class/net")) ?? []).filter {
            $0 == names(of: name).bridge || $0.hasPrefix("lcp\(name).")
        }
    }

    private static func groups(of name: String) -> [String] {
        MemoryGroups()?.all(prefix: names(of: name).prefix) ?? []
    }

    /// Ends a lab and every process in it.
    ///
    /// - Returns: false where there was none.
    /// - Throws: ``PipelineError`` where something cannot be removed.
    @discardableResult
    public static func down(name: String = "lab") throws(PipelineError) -> Bool {
        guard !leftovers(of: name).isEmpty else { return false }
        if let obstacle { throw PipelineError(.resources, obstacle) }
        // What was killed while it made a lab may have an `ip` that goes on making it.
        for _ in 0..<20 {
            try removeAll(of: name)
            guard !leftovers(of: name).isEmpty else { return true }
            usleep(100_000)
        }
        throw PipelineError(.resources, "could not be removed: \(leftovers(of: name).joined(separator: ", "))")
    }

    private static func removeAll(of name: String) throws(PipelineError) {
        let (namespaces, interfaces) = (namespaces(of: name), interfaces(of: name))
        for namespace in namespaces { try endProcesses(in: namespace) }
        // A pair ends with one of its ends, and an end with its namespace: what is gone already is no failure.
        for namespace in namespaces { try SystemProgram.run("ip", ["netns", "del", namespace]) }
        for interface in interfaces { _ = try? SystemProgram.run("ip", ["link", "del", interface]) }
        if let groups = MemoryGroups() {
            for group in self.groups(of: name) { groups.remove(group) }
        }
        for file in files(of: name) { FileIO.remove(file) }
    }

    private static func endProcesses(in namespace: String) throws(PipelineError) {
        for signal in [SIGTERM, SIGKILL] {
            let deadline = ContinuousClock.now + .seconds(3)
            var processes = try processes(in: namespace)
            for process in processes { kill(process, signal) }
            while !processes.isEmpty, ContinuousClock.now < deadline {
                usleep(10_000)
                processes = try self.processes(in: namespace)
            }
        }
    }

    private static func processes(in namespace: String) throws(PipelineError) -> [Int32] {
        try SystemProgram.run("ip", ["netns", "pids", namespace]).split(whereSeparator: \.isWhitespace)
            .compactMap { Int32($0) }
    }

    // MARK: What is on it

    /// What one device is doing.
    public struct DeviceStatus: Sendable, Hashable, Encodable {
        public var device: String
        public var address: String
        public var processes: Int
        /// What it has sent and received, bytes of Ethernet frames.
        public var sentBytes: UInt64
        public var receivedBytes: UInt64
        /// The most memory at once; nil for those without a limit.
        public var peakMiB: Double?

        enum CodingKeys: String, CodingKey {
            case device, address, processes
            case sentBytes = "sent_bytes"
            case receivedBytes = "received_bytes"
            case peakMiB = "peak_mib"
        }
    }

    /// - Throws: ``PipelineError`` where it is not there any more.
    public func status() throws(PipelineError) -> [DeviceStatus] {
        var result: [DeviceStatus] = []
        let groups = MemoryGroups()
        for device in layout.all {
            let traffic = traffic(of: device)
            result.append(
                DeviceStatus(
                    device: device.name, address: layout.address(device),
                    processes: try Self.processes(in: layout.namespace(device)).count, sentBytes: traffic.sent,
                    receivedBytes: traffic.received, peakMiB: groups?.peak(layout.namespace(device))))
        }
        return result
    }

    /// What a device has sent and received since the lab was made, bytes of Ethernet frames: its link's own counters.
    public func traffic(of device: LabDevice) -> (sent: UInt64, received: UInt64) {
        func counter(_ name: String) -> UInt64 {
            let path = "/sys/class/net/\(layout.interface(device))/statistics/\(name)"
            let bytes = (try? FileIO.read(path, limit: 1 << 16)) ?? []
            return UInt64(String(decoding: bytes, as: UTF8.self).filter(\.isNumber)) ?? 0
        }
        // The bridge receives what the device sends.
        return (counter("rx_bytes"), counter("tx_bytes"))
    }

    /// The same of all devices; of none where they have no links.
    var traffic: [LabDevice: (sent: UInt64, received: UInt64)] {
        guard kind == .namespaces else { return [:] }
        return Dictionary(uniqueKeysWithValues: layout.all.map { ($0, traffic(of: $0)) })
    }

    /// What all devices have sent and received since a reading of ``traffic``.
    func traffic(
        since before: [LabDevice: (sent: UInt64, received: UInt64)]
    ) -> [LabDevice: (sent: UInt64, received: UInt64)] {
        traffic.merging(before) { ($0.sent - $1.sent, $0.received - $1.received) }
    }

    /// What a program on a device is started through.
    public func wrapper(_ device: LabDevice) -> [String] {
        guard kind == .namespaces else { return [] }
        let namespace = layout.namespace(device)
        var enter = [ChildProcess.find("ip") ?? "ip", "netns", "exec", namespace]
        // What a device of its own would do at once is not to wait for what others compute.
        if let chrt = ChildProcess.find("chrt") { enter += [chrt, "--fifo", "10"] }
        guard case .device = device, let groups = MemoryGroups() else { return enter }
        let join = "echo $$ > \(groups.members(namespace)) && exec \"$@\""
        return ["/bin/sh", "-c", join, "sh"] + enter
    }

    /// Where a role finds the broker, on its own device.
    public func address(_ device: LabDevice) -> String {
        kind == .namespaces ? layout.address(device) : "127.0.0.1"
    }
}
