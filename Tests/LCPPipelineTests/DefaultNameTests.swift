import Foundation
import Testing

@testable import LCPPipeline

@Suite("Names of processes that were given none") struct DefaultNameTests {
    private static func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("lcp-names-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path)
    }

    @Test("A process has the name of the one before it, and never that of one that runs")
    func stableAndUnique() throws {
        try Self.withFolder { folder in
            var first: DefaultName? = DefaultName.take(.worker, host: "pi. 3", in: folder)
            let name = try #require(first?.text)
            // To RabbitMQ a dot is another level of a topic.
            #expect(name.hasPrefix("pi3-") && name.count == 8)
            let second = DefaultName.take(.worker, host: "pi 3", in: folder)
            let third = DefaultName.take(.worker, host: "pi 3", in: folder)
            #expect(second.text == "\(name)-2" && third.text == "\(name)-3")
            // Another role has other topics and another client identifier.
            #expect(DefaultName.take(.sensor, host: "pi 3", in: folder).text == name)
            first = nil
            let next = DefaultName.take(.worker, host: "pi 3", in: folder)
            #expect(next.text == name)
            withExtendedLifetime((second, third, next)) {}
        }
    }

    @Test("Machines of one name have different parts, and many first starts at once agree on one")
    func randomPart() async throws {
        try Self.withFolder { folder in
            let (one, other) = (
                DefaultName.take(.worker, host: "box", in: "\(folder)/1"),
                DefaultName.take(.worker, host: "box", in: "\(folder)/2")
            )
            #expect(one.text != other.text)
        }
        let folder = NSTemporaryDirectory() + "lcp-names-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let names = await withTaskGroup(of: DefaultName.self) { group in
            for _ in 0..<16 { group.addTask { DefaultName.take(.worker, host: "box", in: folder) } }
            return await group.reduce(into: [DefaultName]()) { $0.append($1) }
        }
        let parts = Set(names.map { $0.text.split(separator: "-")[1] })
        #expect(parts.count == 1 && Set(names.map(\.text)).count == 16)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["part", "worker"])
    }

    @Test("Where nothing can be kept the name is a new one every time", arguments: [nil, "/proc/nothing"])
    func unkept(folder: String?) {
        let (one, other) = (
            DefaultName.take(.worker, host: "", in: folder), DefaultName.take(.worker, host: "", in: folder)
        )
        #expect(one.text != other.text && one.text.hasPrefix("host-") && one.text.count == 13)
    }
}
