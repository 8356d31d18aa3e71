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
        let program = "\(folder)/mosquitto"
        let script = """
            #!/bin/sh
            folder=$(dirname "$0")
            stat -L -c '%F, %s bytes' "$2" >"$folder/kind"
            # Twice, as on SIGHUP.
            cat "$2" "$2" >"$folder/contents"
            exit 7
            """
        try script.write(toFile: program, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)

        let port = try BrokerProcess.freePort(host: "127.0.0.1")
        let configuration = "allow_anonymous true\n# " + String(repeating: "é", count: 50_000)
        #expect(
            throws: PipelineError(.processFailed, "mosquitto ended at once with status 7, on 127.0.0.1 port \(port)")
        ) {
            try BrokerProcess.start(program, configuration: configuration, port: port)
        }

        let text = "\(configuration)\nlistener \(port) 127.0.0.1\n"
        func seen(_ name: String) throws -> String { try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8) }
        #expect(try seen("kind") == "regular file, \(text.utf8.count) bytes\n")
        #expect(try seen("contents") == text + text)
    }
}
