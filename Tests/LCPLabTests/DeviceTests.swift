import LCPModels
import LCPWire
import Platform
import Testing

@testable import LCPLab

@Suite struct DeviceTests {
    @Test("Every profile that comes with lcp can be read, and says where its figures come from")
    func shippedProfiles() throws {
        let profiles = try DeviceProfile.shipped()
        #expect(profiles.map(\.name) == ["rpi3b+", "rpi4", "rpi5", "pynq-z1", "t2.micro"])
        for profile in profiles {
            for source in [profile.link.source, profile.benchmark.source, profile.power.source] {
                #expect(source.count > 20)
            }
            #expect(profile.label == "emulated, profile \(profile.name)")
        }
        #expect(try DeviceProfile.named("rpi3b+").benchmark.milliseconds == 114)
    }

    @Test("A profile that there is not is answered with those that there are")
    func mistypedProfile() {
        #expect(
            throws: PipelineError(
                .invalidConfiguration,
                "there is no profile \"rpi3\": there are rpi3b+, rpi4, rpi5, pynq-z1, t2.micro")
        ) { try DeviceProfile.named("rpi3") }
    }

    @Test(
        "Profiles with impossible figures are refused in one sentence",
        arguments: [
            ("\"mbit_per_s\": 62.24", "\"mbit_per_s\": 0", "mbit_per_s"), ("\"ms\": 114", "\"ms\": -1", "ms"),
            ("\"memory_mib\": 1024", "\"memory_mib\": 1", "memory_mib"), ("\"busy_w\": 5.6", "\"busy_w\": 1", "busy_w"),
            ("\"mobilenet\"", "\"mobilnet\"", "zoo"), ("\"profiles\"", "\"profile\"", "profiles"),
        ])
    func impossibleProfiles(old: String, new: String, word: String) throws {
        let path = try #require(ShippedFiles.path("Configs/devices.json"))
        let text = String(decoding: try FileIO.read(path), as: UTF8.self)
        let file = "/tmp/lcp-profiles-\(UInt64.random(in: 0...UInt64.max)).json"
        try FileIO.write(Array(text.replacing(old, with: new, maxReplacements: 1).utf8), to: file)
        defer { FileIO.remove(file) }
        let error = #expect(throws: PipelineError.self) { try DeviceProfile.read(file) }
        #expect(error?.description.contains(word) == true)
        #expect(error?.description.contains(file) == true)
    }

    @Test(
        "Each device has a link of its own in both directions, its bucket a packet and what comes while a timer is late"
    )
    func ownLinks() throws {
        let layout = LabLayout(name: "lab", devices: 2, megabitsPerSecond: 62.24, isShared: false)
        try layout.validate()
        let bucket = "tbf rate 62240000bit burst 1826 limit 4000000"
        #expect(layout.limits == ["b", "a", "s", "1", "2"].map { "qdisc add dev lcplab.\($0) root \(bucket)" })
        #expect(layout.creation.filter { $0.hasSuffix("tc qdisc add dev eth0 root \(bucket)") }.count == 5)
        #expect(layout.creation.contains("netns exec lcp-lab-2 ip addr add 10.77.0.12/24 dev eth0"))
        #expect(layout.creation.allSatisfy { !$0.contains("ifb") })
    }

    @Test("On a shared medium every packet passes one bucket once")
    func sharedMedium() {
        let layout = LabLayout(name: "x", devices: 1, megabitsPerSecond: 8, isShared: true)
        #expect(
            layout.limits.filter { $0.contains("tbf") } == [
                "qdisc add dev lcpx.m root tbf rate 8000000bit burst 1554 limit 4000000"
            ])
        #expect(layout.limits.filter { $0.hasSuffix("redirect dev lcpx.m") }.count == 4)
        #expect(!layout.creation.contains { $0.contains("tbf") })
    }

    @Test("Names of interfaces are as long as the system takes, whatever the lab is called")
    func interfaceNames() throws {
        let layout = LabLayout(name: "speedup", devices: 200, megabitsPerSecond: 1, isShared: true)
        try layout.validate()
        for name in layout.all.map(layout.interface) + [layout.bridge, layout.medium] { #expect(name.utf8.count <= 15) }
        #expect(Set(layout.all.map(layout.address)).count == 203)
        for name in ["", "eightlet", "a b", "A", "../x"] {
            #expect(throws: PipelineError.self) {
                try LabLayout(name: name, devices: 1, megabitsPerSecond: 1, isShared: false).validate()
            }
        }
        for devices in [0, 201, -1] {
            #expect(throws: PipelineError.self) {
                try LabLayout(name: "lab", devices: devices, megabitsPerSecond: 1, isShared: false).validate()
            }
        }
    }

    @Test("Devices are named by numbers from 1, and by what they do")
    func deviceNames() {
        for device in LabLayout(name: "lab", devices: 3, megabitsPerSecond: 1, isShared: false).all {
            #expect(LabDevice(device.name) == device)
        }
        for name in ["0", "-1", "", "worker", "1x"] { #expect(LabDevice(name) == nil) }
    }

    @Test("More devices than a machine can emulate are refused, and time may run slower for them")
    func tooManyDevices() throws {
        let profile = try DeviceProfile.named("t2.micro")
        let pace = LabPace(benchmarkMilliseconds: 12, slowness: 2, dilation: 1)
        #expect(pace.maximumDevices == Int(Double(Processors.available) * 2 / 1.4))
        let many = pace.maximumDevices + 1
        let error = #expect(throws: PipelineError.self) { try pace.check(devices: many, profile) }
        #expect(error?.description.contains("--dilation") == true)
        try pace.check(devices: pace.maximumDevices, profile)
        try LabPace(benchmarkMilliseconds: 12, slowness: 2, dilation: 8).check(devices: many, profile)
    }

    @Test("A root without the rights to make networks is told so")
    func capabilities() {
        func may(_ text: String) -> Bool { Lab.mayMakeNetworks(Array(text.utf8)) }
        #expect(may("Name:\tlcp\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n"))
        // What Docker gives.
        #expect(!may("Name:\tlcp\nCapEff:\t00000000a80425fb\n"))
        #expect(!may("CapEff:\t0000000000001000\n") && !may("CapEff:\t0000000000200000\n"))
        #expect(may("CapEff:\t0000000000201000\n") && may(""))
    }

    @Test("A message's bytes on the wire are its own and 66 of headers for each packet")
    func wireBytes() {
        #expect(LinkCheck.wireBytes(1) == 67)
        #expect(LinkCheck.wireBytes(1448) == 1514)
        #expect(LinkCheck.wireBytes(1449) == 1449 + 132)
    }
}
