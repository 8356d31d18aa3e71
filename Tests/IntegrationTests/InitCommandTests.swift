import Foundation
import Testing

/// `lcp init`: nothing of the system is touched, because the file goes into a folder of the test's.
@Suite struct InitCommandTests {
    private let folder = NSTemporaryDirectory() + "lcp-init-\(UUID().uuidString)"

    private func initialise(_ words: [String], input: [UInt8]? = nil) async throws -> Outcome {
        try await run(Repository.lcp, ["init", "--folder", folder] + words, input: input)
    }

    private func text(_ pipeline: String) throws -> String {
        try String(contentsOfFile: "\(folder)/\(pipeline).yaml", encoding: .utf8)
    }

    @Test("Options answer the questions, the file holds them, and the commands that it names take it")
    func options() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let outcome = try await initialise([
            "--yes", "--pipeline", "kitchen", "--broker", "mqtt://broker.local:1884", "--role", "worker, sensor",
            "--name",
            "pi-1", "--model", "lenet-split2", "--source", "http://joe:secret@cam/mjpeg", "--user", "pi",
        ])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let path = "\(folder)/kitchen.yaml"
        #expect(outcome.output.hasPrefix("wrote \(path)\n"))
        #expect(outcome.output.contains("lcp worker --config \(path)"))
        #expect(outcome.output.contains("write the password of pi into \(folder)/kitchen.password"))
        // The camera's address has a password in it.
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        try "secret\n".write(toFile: "\(folder)/kitchen.password", atomically: true, encoding: .utf8)
        let shown = try await run(Repository.lcp, ["config", "show", "--config", path])
        #expect(shown.output.contains("http://…@cam/mjpeg") || !shown.output.contains("secret@"), "\(shown.output)")
        #expect(shown.status == 0, "\(shown.errors)")
        for (setting, value) in [
            ("pipeline", "kitchen"), ("broker.url", "mqtt://broker.local:1884"), ("broker.user", "pi"),
            ("model", "lenet-split2"), ("worker.name", "pi-1"), ("sensor.name", "pi-1"),
            ("broker.password_file", "\(folder)/kitchen.password"),
        ] {
            #expect(
                shown.output.split(separator: "\n").contains { line in
                    let words = line.split(separator: " ")
                    return words.first == Substring(setting) && words.dropFirst().first == Substring(value)
                }, "\(setting): \(shown.output)")
        }
    }

    @Test("A file that is there stays as it is")
    func existing() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(try await initialise(["--yes"]).status == 0)
        let before = try text("home")
        let again = try await initialise(["--yes", "--broker", "mqtt://other"])
        #expect(again.status != 0 && again.errors.contains("home.yaml is there already, and stays as it is"))
        #expect(try text("home") == before)
    }

    @Test("Without a terminal nothing is asked, and what is wrong is one sentence, and writes nothing")
    func mistakes() async throws {
        for (words, sentence) in [
            ([], "lcp init asks on a terminal, and there is none here: add --yes"),
            (["--yes", "--role", "cook"], "is no role: write worker, aggregator or sensor"),
            (["--yes", "--role", "worker,worker"], "is no role"),
            (["--yes", "--broker", "http://x"], "--broker"),
            (["--yes", "--broker", "mqtt://192.168.1.500"], "four of them, 0 to 255"),
            (["--yes", "--broker", "mqtts://b", "--cafile", "none.crt"], "there is no file none.crt"),
            (["--yes", "--pipeline", "a/b"], "cannot be part of a topic"),
            (["--yes", "--pipeline", "../up"], "cannot be part of a topic"),
            (["--yes", "--pipeline", "küche"], "cannot be part of a service's name"),
            (["--yes", "--pipeline", "."], "cannot be part of a service's name"),
            (["--yes", "--role", "sensor", "--source", "nonsense"], "is not a source"),
            (["--yes", "--source", "drawn"], "--source is for a sensor"),
            (["--yes", "--model", "no-such-model"], "no-such-model"),
            (["--yes", "--name", "a b"], "cannot be part of a topic"),
        ] {
            let outcome = try await initialise(words, input: [])
            #expect(outcome.status != 0 && outcome.errors.contains(sentence), "\(words): \(outcome.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: folder))
    }

    @Test("On a terminal five questions are asked, wrong answers once more, and the end of the input writes nothing")
    func questions() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func answer(_ answers: String) async throws -> Outcome {
            try await run(
                "/usr/bin/script", ["-qec", "\(Repository.lcp) init --folder \(folder)", "/dev/null"],
                input: Array(answers.utf8))
        }
        let cut = try await answer("\u{4}")
        #expect(cut.output.contains("there was no answer, and nothing was written"), "\(cut.output)")
        #expect(!FileManager.default.fileExists(atPath: folder))
        let outcome = try await answer("mqtt://b\nno way\ngarden\ncook\naggregator\n\n\n")
        #expect(outcome.output.contains("wrote \(folder)/garden.yaml"), "\(outcome.output)")
        #expect(try text("garden").contains("\npipeline: garden\nbroker:\n  url: mqtt://b\n"))
    }

    @Test("Folders, models and certificates are written with their whole paths, because the file lies elsewhere")
    func wholePaths() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let work = folder + "-work"
        defer { try? FileManager.default.removeItem(atPath: work) }
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        let model = Repository.root.appendingPathComponent("Models/lenet-split2").path
        try FileManager.default.createSymbolicLink(atPath: "\(work)/mine", withDestinationPath: model)
        try FileManager.default.createDirectory(atPath: "\(work)/pics", withIntermediateDirectories: true)
        try "".write(toFile: "\(work)/ca.crt", atomically: true, encoding: .utf8)
        let words =
            "--yes --role sensor,worker --model mine --source watch:pics --broker mqtts://b --cafile ca.crt --folder \(folder)"
        let outcome = try await run(
            "/bin/sh", ["-c", "cd \(work) && exec \(Repository.lcp) init \(words)"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let whole = try #require(realpath(work, nil).map { String(cString: $0) })
        let text = try text("home")
        #expect(text.contains("model: \(model)\n") && text.contains("watch:\(whole)/pics"), "\(text)")
        #expect(text.contains("\(whole)/ca.crt"), "\(text)")
        #expect(outcome.output.contains("a pipeline needs an aggregator"), "\(outcome.output)")
    }

    @Test("It is said that a broker on this device alone is not enough for several, and what one for all means")
    func brokers() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let alone = try await initialise(["--yes", "--role", "aggregator"])
        #expect(alone.output.contains("is for this device alone") && !alone.output.contains("needs an aggregator"))
        let here = try await initialise(["--yes", "--pipeline", "two", "--broker", "HERE"])
        #expect(here.output.contains("everybody who reaches it may publish"), "\(here.output)")
        #expect(try text("two").contains("url: mqtt://localhost\n"))
    }

    @Test("A second pipeline has no name until somebody gives it one")
    func second() async throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(try await initialise(["--yes"]).status == 0)
        let outcome = try await run(
            "/usr/bin/script", ["-qec", "\(Repository.lcp) init --folder \(folder)", "/dev/null"],
            input: Array("?\nmqtt://b\n\nshed\n\n\n\n".utf8))
        #expect(outcome.output.contains("the first device's address"), "\(outcome.output)")
        #expect(outcome.output.contains("write a name, or stop with Ctrl-C"), "\(outcome.output)")
        #expect(outcome.output.contains("wrote \(folder)/shed.yaml"), "\(outcome.output)")
    }
}
