import Foundation
import LCPLocal
import LCPWire
import MQTT
import Testing

/// After a power cut a broker that keeps things says of devices that never came back that they are there.
@Suite struct GhostTests {
    /// What a device said before the power went.
    private static func haunt(_ devices: Devices, _ role: Role, _ id: String, _ more: String) async throws {
        let hash = String(repeating: "a", count: 32)
        let json =
            #"{"state":"ready","role":"\#(role.rawValue)","id":"\#(id)","birth":"1","branches":4,"model":"lenet-split4","#
            + #""model_hash":"\#(hash)","models":["\#(hash)"],"tensor_messages":2\#(more)}"#
        try await devices.client.publish(
            Array(json.utf8), to: devices.topics.status(role, id), qos: .atLeastOnce, retain: true)
    }

    private static func haunt(_ devices: Devices) async throws {
        try await haunt(devices, .aggregator, "a-ghost", #","gives_tasks":true"#)
        try await haunt(
            devices, .worker, "ghost",
            #","answers_probes":true,"takes_tasks":true,"pinned":false,"claims":[1],"serves":[1],"lanes":[[0]]"#)
    }

    @Test("Devices that are there only by what the broker keeps do not keep others from their branches and their tasks")
    func goesOnWithoutThem() async throws {
        let devices = try await Devices()
        try await Self.haunt(devices)
        try devices.start(.aggregator, "b", ["--deadline", "5000"])
        try devices.start(.worker, "w0")
        try devices.start(.worker, "w1")
        try await devices.wait("all branches by those who are there") { known in
            let served = ["w0", "w1"].flatMap { known[$0]?.state == .ready ? known[$0]?.serves ?? [] : [] }
            return Set(served) == [0, 1, 2, 3]
        }
        devices.expectWhole(try await devices.frames(0..<20), [0, 1, 2, 3])
    }

    @Test("The status tells who is not heard, a monitor is told that nobody answers, and they can be forgotten")
    func status() async throws {
        let devices = try await Devices()
        try await Self.haunt(devices)
        let words = ["--broker", devices.broker.url, "--pipeline", "join"]
        let check = try await run(Repository.lcp, ["status", "--check"] + words)
        #expect(check.status == 2 && check.output.contains("is silent: no aggregator is ready"), "\(check.output)")
        let status = try await run(Repository.lcp, ["status", "--for", "7"] + words)
        #expect(status.output.contains("nothing is heard of worker ghost"), "\(status.output)")
        let forgotten = try await run(Repository.lcp, ["forget", "ghost"] + words)
        #expect(forgotten.status == 0 && forgotten.output.contains("status as a worker"), "\(forgotten.errors)")
    }
}
