import Foundation
import LCPWire
import Testing

@testable import LCPLocal

@Suite struct BrokerProcessTests {
    /// mosquitto 2.0.21 refuses anything but a regular file. A program in its place tells what it was given, and ends.
    @Test("The broker gets its configuration as a regular file")
    func configurationIsAFile() throws {
        let folder = NSTemporaryDirectory() + "lcp-broker-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        // A file of the checkout: one that was just written may still be open in a child that another test starts.
        let program = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/broker/mosquitto").path
        setenv("LCP_FAKE_BROKER", folder, 1)
        defer { unsetenv("LCP_FAKE_BROKER") }

        let port = try BrokerProcess.freePort(host: "127.0.0.1")
        let configuration = "allow_anonymous true\n# " + String(repeating: "é", count: 50_000)
        #expect(
            throws: PipelineError(.processFailed, "mosquitto ended at once with status 7, on 127.0.0.1 port \(port)")
        ) {
            try BrokerProcess.start(program, configuration: configuration, port: port)
        }

        // The listener comes first: what is said before one would be said of another.
        let text = "listener \(port) 127.0.0.1\n\(configuration)\n"
        func seen(_ name: String) throws -> String { try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8) }
        #expect(try seen("kind") == "regular file, \(text.utf8.count) bytes\n")
        #expect(try seen("contents") == text + text)
    }
}
