import Foundation
import Testing

@testable import LCPWire

@Suite struct DiscoveryTests {
    private static let names = ["door", "pi-3", "a.b", "Küche", "\"quoted\"", "🐈", String(repeating: "x", count: 128)]
    private static let hostile = [
        "cat", "cat", "", "\"Mia\" \\ \n{{ 7 }}", "🐈", String(repeating: "long", count: 2500),
    ]

    private static func violations(_ document: DiscoveryDocument) -> [String] {
        DiscoverySchema(topic: DiscoveryDocument.topic(document.id), Data(document.json)).violations
    }

    @Test("Home Assistant takes every document, whatever a role is called and a model's labels are", arguments: names)
    func documents(_ name: String) throws {
        let topics = try Topics(prefix: "l.c.p", pipeline: name)
        for document in [
            DiscoveryDocument(
                sensor: name, isBare: false, labels: Self.hostile, aggregator: "hub", topics, version: "1"),
            DiscoveryDocument(
                sensor: name, isBare: true, labels: Self.hostile, aggregator: "hub", topics, version: "1"),
            DiscoveryDocument(worker: name, aggregator: "hub", topics, version: "1"),
            DiscoveryDocument(aggregator: name, topics, version: "1"),
        ] { #expect(Self.violations(document).isEmpty, "\(String(decoding: document.json, as: UTF8.self))") }
    }

    @Test("The rules find what Home Assistant would drop")
    func rules() throws {
        let topics = try Topics(pipeline: "kitchen")
        let good = DiscoveryDocument(worker: "pi-1", aggregator: "hub", topics, version: "1")
        func broken(_ change: (inout DiscoveryDocument) -> Void) -> Int {
            var document = good
            change(&document)
            return Self.violations(document).count
        }
        #expect(broken { _ in } == 0)
        #expect(broken { $0.device.identifiers = [] } > 0)
        #expect(broken { $0.components["compute"]?.platform = "lamp" } > 0)
        #expect(broken { $0.components["compute"]?.uniqueID = "" } > 0)
        #expect(broken { $0.components["compute"]?.options = ["a"] } > 0)
        #expect(broken { $0.components["compute"]?.defaultEntityID = "sensor.a b" } > 0)
        #expect(broken { $0.id = "a b" } > 0)
    }

    @Test("A label's options are the model's labels once each, and none; too many are left out")
    func options() throws {
        let topics = try Topics(pipeline: "kitchen")
        func label(_ labels: [String]) -> DiscoveryDocument.Component? {
            DiscoveryDocument(sensor: "door", isBare: false, labels: labels, aggregator: "hub", topics, version: "1")
                .components["label"]
        }
        #expect(label(["cat", "dog", "cat"])?.options == ["cat", "dog", "none"])
        #expect(label(Self.hostile)?.options?.last == "none")
        let many = label((0..<5000).map { "class \($0)" })
        #expect(many?.options == nil && many?.deviceClass == nil && many?.stateTopic == "lcp/kitchen/state/door")
    }

    @Test("Two names have two identifiers, also where they differ in a character that those cannot have")
    func identifiers() throws {
        let topics = try Topics(pipeline: "kitchen")
        #expect(DiscoveryDocument.id(topics, .sensor, "door") == "lcp_kitchen_sensor_door")
        let ids = ["a.b", "a_b", "a:b", "ä", "ö"].map { DiscoveryDocument.id(topics, .worker, $0) }
        #expect(Set(ids).count == ids.count)
        #expect(ids.allSatisfy { $0.hasPrefix("lcp_kitchen_worker_") })
    }
}
