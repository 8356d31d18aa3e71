import Testing

@testable import MQTT

@Suite struct AddressTests {
    @Test("The nodes of a cluster stand behind one another, with the scheme of the first")
    func cluster() throws {
        #expect(
            try MQTTAddress.list("mqtts://first, second:1884,[::1]")
                == [
                    .tls(host: "first", port: 8883), .tls(host: "second", port: 1884), .tls(host: "::1", port: 8883),
                ])
        #expect(try MQTTAddress.list("first,second").map(\.description) == ["mqtt://first:1883", "mqtt://second:1883"])
        #expect(try MQTTAddress.list("unix:/tmp/a,b") == [.unix(path: "/tmp/a,b")])
        let many = (0..<17).map { "n\($0)" }.joined(separator: ",")
        for wrong in ["a,", ",a", "a,a", "mqtt://a,mqtts://b", "mqtt://a,unix:/b", "a,b/c", "a,u@b", many] {
            #expect(throws: MQTTError.self, "\(wrong)") { try MQTTAddress.list(wrong) }
        }
    }

    @Test(arguments: [
        ("mqtt://broker.local", MQTTAddress.tcp(host: "broker.local", port: 1883)),
        ("broker.local:1884", .tcp(host: "broker.local", port: 1884)),
        ("mqtts://10.0.0.1", .tls(host: "10.0.0.1", port: 8883)),
        ("mqtt://[::1]:1883", .tcp(host: "::1", port: 1883)),
        ("unix:/run/mosquitto.sock", .unix(path: "/run/mosquitto.sock")),
        ("unix:///run/mosquitto.sock", .unix(path: "/run/mosquitto.sock")),
    ])
    func addressesAreRead(text: String, expected: MQTTAddress) throws {
        #expect(try MQTTAddress(text) == expected)
        #expect(try MQTTAddress(expected.description) == expected)
    }

    @Test(arguments: [
        "", "mqtt://", "http://broker", "mqtt://broker:0", "mqtt://broker:65536", "mqtt://broker:x", "mqtt://::1",
        "mqtt://[::1", "mqtt://user:password@broker", "mqtt://broker/path", "unix:relative", "mqtt://bro ker",
    ])
    func othersAreRefusedWithASentence(text: String) {
        let error = #expect(throws: MQTTError.self) { try MQTTAddress(text) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.description.contains("not a broker's address") == true)
    }
}

@Suite struct TopicFilterTests {
    @Test(arguments: [
        ("a/b", "a/b", true), ("a/b", "a/c", false), ("a/+", "a/b", true), ("a/+", "a/b/c", false),
        ("a/#", "a/b/c", true),
        ("a/#", "a", true), ("#", "a/b", true), ("+/+", "/a", true), ("+", "/a", false), ("a/+/c", "a//c", true),
        ("#", "$SYS/x", false), ("+/x", "$SYS/x", false), ("$SYS/#", "$SYS/x", true), ("a", "a/", false),
        ("a/b", "a", false),
    ])
    func filtersMatchAsTheStandardSays(filter: String, topic: String, expected: Bool) {
        #expect(TopicFilter.matches(filter, topic) == expected)
    }

    @Test func levelsThatWouldBreakATopicAreRefused() {
        for name in ["", "a/b", "a+", "#", "a b", "a\u{0}b", "\u{7F}", String(repeating: "x", count: 129)] {
            #expect(!TopicFilter.isValidLevel(name))
        }
        for name in ["cam", "küche-1", "a.b_c:d", "$x"] { #expect(TopicFilter.isValidLevel(name)) }
    }
}
