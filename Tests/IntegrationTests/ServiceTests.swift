import Foundation
import Glibc
import LCPLocal
import Platform
import Testing

/// What systemd would hear of lcp's services.
@Suite struct ServiceTests {
    /// A socket that a service manager would listen on, with what came.
    private final class Manager {
        let path = "/tmp/lcp-notify-\(UUID().uuidString)"
        private let descriptor: Int32

        init() throws {
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            try #require(result == 0)
        }

        deinit {
            close(descriptor)
            unlink(path)
        }

        /// Waits for a message that has these words in it, and gives all that came until then.
        func wait(for words: String) throws -> [String] {
            var seen: [String] = []
            while true {
                var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                try #require(poll(&event, 1, 60_000) == 1, "no \(words) within a minute, but \(seen)")
                var bytes = [UInt8](repeating: 0, count: 4096)
                let count = recv(descriptor, &bytes, bytes.count, 0)
                seen.append(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self))
                if seen.last!.contains(words) { return seen }
            }
        }
    }

    @Test("A worker tells that it waits for its broker, that it runs, that its event loop lives, and that it ends")
    func worker() async throws {
        let manager = try Manager()
        let port = try BrokerProcess.freePort(host: "127.0.0.1")
        let worker = try Spawned(
            Repository.lcp, ["worker", "--broker", "mqtt://127.0.0.1:\(port)", "--model", "lenet-split2"],
            environment: ["NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "300000"])
        let waiting = try manager.wait(for: "STATUS=waits for the broker: cannot connect")
        #expect(waiting.last?.hasPrefix("READY=1\n") == true)
        for _ in 0..<3 { _ = try manager.wait(for: "WATCHDOG=1") }
        let broker = try BrokerProcess.start(
            configuration: BrokerProcess.localConfiguration(), port: port, isQuiet: true)
        defer { broker.process.stop() }
        let running = try manager.wait(for: "STATUS=computes branches 0, 1 of lenet-split2, in lcp/demo")
        #expect(running.last?.hasPrefix("READY=1\n") == true)
        for _ in 0..<3 { _ = try manager.wait(for: "WATCHDOG=1") }
        kill(worker.identifier, SIGTERM)
        _ = try manager.wait(for: "STOPPING=1")
        #expect(await worker.wait() == 0)
    }

    @Test("A broker tells when it listens")
    func broker() async throws {
        let manager = try Manager()
        let broker = try Spawned(
            Repository.lcp, ["broker", "--port", "0", "--quiet"], environment: ["NOTIFY_SOCKET": manager.path])
        #expect(try manager.wait(for: "READY=1").last?.contains("STATUS=listens on mqtt://127.0.0.1:") == true)
        kill(broker.identifier, SIGTERM)
        _ = try manager.wait(for: "STOPPING=1")
        #expect(await broker.wait() == 0)
    }

    @Test("The password that a service was given is its user's, and an empty one is none", arguments: ["secret", ""])
    func password(_ password: String) async throws {
        let folder = NSTemporaryDirectory() + "lcp-credentials-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try "\(password)\n".write(toFile: "\(folder)/password", atomically: true, encoding: .utf8)
        let maker = try #require(ChildProcess.find("mosquitto_passwd"))
        let made = try await run(maker, ["-c", "-b", "\(folder)/users", "pi", "secret"])
        #expect(made.status == 0)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: "\(folder)/users")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder)
        let broker = try BrokerProcess.start(
            configuration: "allow_anonymous false\npassword_file \(folder)/users\n", port: 0, isQuiet: true)
        defer { broker.process.stop() }
        let status = try await run(
            Repository.lcp, ["status", "--broker", broker.url, "--user", "pi", "--for", "0.1"],
            environment: ["CREDENTIALS_DIRECTORY": folder])
        #expect((status.status == 0) == (password == "secret"), "\(status.errors)")
    }

    @Test("A file that only root may read is read from what the service was given of it, and is named as it is")
    func givenFile() async throws {
        let folder = NSTemporaryDirectory() + "lcp-given-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder)
        func write(_ text: String, to name: String, _ mode: Int) throws {
            try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: "\(folder)/\(name)")
        }
        try write("pipeline: kitchen\nqos: 1\n", to: "secret.yaml", 0)
        // As root everything can be read: then as somebody else.
        let other = geteuid() == 0 ? ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : []
        func show() async throws -> Outcome {
            let words = other + [Repository.lcp, "config", "show", "--config", "\(folder)/secret.yaml"]
            return try await run(
                words[0], Array(words.dropFirst()), environment: ["CREDENTIALS_DIRECTORY": folder])
        }
        try write("\n", to: "pipeline", 0o644)
        let refused = try await show()
        #expect(refused.status != 0 && refused.errors.contains("secret.yaml: Permission denied"), "\(refused.errors)")
        try write("pipeline: kitchen\nqos: 1\n", to: "pipeline", 0o644)
        let shown = try await show()
        #expect(shown.status == 0 && shown.output.contains("\(folder)/secret.yaml:2"), "\(shown.output)\(shown.errors)")
    }
}
