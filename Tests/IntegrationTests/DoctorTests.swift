import Foundation
import LCPLocal
import Testing

/// What `lcp doctor` finds that slows a pipeline down or keeps it from working.
@Suite struct DoctorTests {
    @Test("A broker that delays small messages is found, one that does not is well", arguments: [true, false])
    func delay(_ isDelaying: Bool) async throws {
        let text = try BrokerProcess.localConfiguration().split(separator: "\n")
            .filter { !isDelaying || !$0.hasPrefix("set_tcp_nodelay") }.joined(separator: "\n")
        let broker = try BrokerProcess.start(configuration: text)
        defer { broker.process.stop() }
        let outcome = try await run(Repository.lcp, ["doctor", "--broker", broker.url])
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(outcome.output.contains("set_tcp_nodelay true") == isDelaying, "\(outcome.output)")
    }

    @Test("What a user may not write is named by topic, and the roles that it can be")
    func rights() async throws {
        let folder = "/tmp/lcp-doctor-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let rights = try String(
            contentsOfFile: Repository.root.appendingPathComponent("Brokers/tls/acl").path, encoding: .utf8)
        try rights.write(toFile: "\(folder)/acl", atomically: true, encoding: .utf8)
        // No password file: a user is who says so.
        let broker = try BrokerProcess.start(
            configuration: try BrokerProcess.localConfiguration() + "\nacl_file \(folder)/acl")
        defer { broker.process.stop() }
        func doctor(_ user: String) async throws -> Outcome {
            try await run(Repository.lcp, ["doctor", "--broker", broker.url, "--user", user])
        }
        let worker = try await doctor("worker")
        #expect(worker.status == 1 && worker.output.contains("BAD   rights: this user can be a worker: it may write"))
        #expect(worker.output.contains("as sensor not input, status, stats; as aggregator not prediction, status"))
        let viewer = try await doctor("viewer")
        #expect(viewer.status == 1 && viewer.output.contains("this user can be no role"), "\(viewer.output)")
        let operated = try await doctor("operator")
        #expect(operated.status == 0 && operated.output.contains("this user may write what every role writes"))
    }
}
