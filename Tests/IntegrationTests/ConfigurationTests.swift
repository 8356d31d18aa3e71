import Foundation
import LCPSettings
import LCPWire
import Platform
import Testing

@Suite struct ConfigurationTests {
    /// A pipeline file for a broker, gone with its last reference.
    final class TestFile: Sendable {
        let path = "/tmp/lcp-test-\(UUID().uuidString).yaml"

        init(_ text: String) throws { try FileIO.write(Array(text.utf8), to: path) }

        deinit { FileIO.remove(path) }
    }

    static func file(_ broker: TestBroker) throws -> TestFile {
        try TestFile(
            """
            pipeline: filed
            prefix: home
            broker:
              url: \(broker.url)
            model: lenet-split1
            branches: 1
            qos: 1
            deadline_ms: 5000
            sensor: {name: door, rate: 100, count: 20}
            worker: {name: w, branch: 0}
            aggregator: {name: a}
            """)
    }

    /// Runs a worker, an aggregator and a sensor with these arguments and variables, and expects the frames' answers on `topic`.
    static func expectAnswers(
        _ broker: TestBroker, arguments: [String], sensor: [String] = [], environment: [String: String] = [:],
        root: String, name: String
    ) async throws {
        let client = try await broker.connect()
        let statuses = try await client.subscribe(to: "\(root)/status/+/+")
        let predictions = try await client.subscribe(to: "\(root)/prediction/\(name)")
        let roles = try ["worker", "aggregator"].map { role in
            try ChildProcess(
                executable: "/usr/bin/env",
                arguments: environment.map { "\($0)=\($1)" } + [Repository.lcp, role] + arguments,
                errorOutput: .discarded)
        }
        defer { for role in roles { role.stop() } }
        var ready: Set<String> = []
        while ready.count < 2 {
            if let status = RoleStatus(try await next(statuses, within: .seconds(30)).payload), status.state == .ready {
                ready.insert("\(status.role) \(status.id)")
            }
        }
        #expect(ready == ["worker w", "aggregator a"])
        let outcome = try await run(Repository.lcp, ["sensor"] + arguments + sensor, environment: environment)
        #expect(outcome.status == 0 && outcome.errors.contains("published 20 frames"), "\(outcome.errors)")
        for number in 0..<20 {
            let prediction = try #require(Prediction(try await next(predictions, within: .seconds(20)).payload))
            #expect(prediction.frame == "\(number)" && prediction.branches == [0] && prediction.missing == [])
        }
        await client.close()
    }

    @Test func aFileIsAllThatAPipelineNeeds() async throws {
        let broker = try TestBroker()
        let file = try Self.file(broker)
        try await Self.expectAnswers(broker, arguments: ["--config", file.path], root: "home/filed", name: "door")
    }

    @Test func theEnvironmentMayNameTheFile() async throws {
        let broker = try TestBroker()
        let file = try Self.file(broker)
        try await Self.expectAnswers(
            broker, arguments: [], environment: ["LCP_CONFIG": file.path], root: "home/filed", name: "door")
    }

    @Test func optionsWinOverTheEnvironmentAndThatOverTheFile() async throws {
        let broker = try TestBroker()
        let file = try Self.file(broker)
        try await Self.expectAnswers(
            broker, arguments: ["--config", file.path, "--pipeline", "given"], sensor: ["--name", "window"],
            environment: ["LCP_CONFIG": "/nowhere", "LCP_PREFIX": "house", "LCP_PIPELINE": "variable"],
            root: "house/given", name: "window")
    }

    @Test func aModelWithOtherBranchesIsRefused() async throws {
        let file = try TestFile("model: lenet-split8\nbranches: 4\n")
        for role in [["worker", "--branch", "0"], ["aggregator"]] {
            let outcome = try await run(Repository.lcp, role + ["--config", file.path], limit: .seconds(20))
            #expect(outcome.status == 1)
            #expect(
                outcome.errors.contains("\(file.path):2:11: branches is 4, but the model lenet-split8 has 8"),
                "\(outcome.errors)")
        }
    }

    @Test("A camera's password is not shown with the settings", arguments: [[], ["--json"]])
    func cameraPassword(words: [String]) async throws {
        let shown = try await run(
            Repository.lcp, ["config", "show", "--source", "rtsp://me:s3cret@cam/1"] + words)
        #expect(shown.status == 0 && shown.output.contains("rtsp:"), "\(shown.output)\(shown.errors)")
        #expect(!shown.output.contains("s3cret") && !shown.errors.contains("s3cret"))
    }

    @Test func watchAndDoctorReadTheFile() async throws {
        let broker = try TestBroker()
        let file = try Self.file(broker)
        let doctor = try await run(Repository.lcp, ["doctor", "--config", file.path, "--json"])
        #expect(doctor.status == 0 && doctor.output.contains(broker.url), "\(doctor.output)\(doctor.errors)")
        let client = try await broker.connect()
        let text =
            #"{"branches":[0],"class":1,"compute_ms":1,"frame":"7","label":"one","latency_ms":1,"missing":[],"#
            + #""probabilities":[0,1],"sensor":"door"}"#
        _ = try #require(Prediction(Array(text.utf8)))
        let publisher = Task {
            while !Task.isCancelled {
                // And what is none, which some brokers deliver by the wrong subscription.
                try await client.publish(Array("{}".utf8), to: "home/filed/prediction/door")
                try await client.publish(Array(text.utf8), to: "home/filed/prediction/door")
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        defer { publisher.cancel() }
        let watch = try await run(Repository.lcp, ["watch", "--config", file.path, "--json", "--count", "2"])
        #expect(watch.status == 0 && watch.output == "\(text)\n\(text)\n", "\(watch.output)\(watch.errors)")
    }

    @Test func theDemoIsLeftAloneByTheEnvironment() async throws {
        let outcome = try await run(
            Repository.lcp, ["demo", "--branches", "1", "--frames", "10", "--rate", "100", "--json"],
            environment: [
                "LCP_CONFIG": "/nowhere", "LCP_PREFIX": "other", "LCP_MODEL": "nowhere", "LCP_QOS": "9",
                "LCP_BROKER": "x@y",
            ])
        #expect(outcome.status == 0 && outcome.output.contains("\"predictions\":10"), "\(outcome.errors)")
    }

    private struct Shown: Decodable {
        struct Line: Decodable {
            var setting: String
            var from: String
            var place: String
        }
        var file: String?
        var settings: [Line]
    }

    @Test func showTellsWhereEverySettingComesFrom() async throws {
        let password = try TestFile("geheim\n")
        let file = try TestFile("qos: 1\nbroker: {user: u, password_file: \(password.path)}\npipeline: filed\n")
        let arguments = ["config", "show", "--config", file.path, "--pipeline", "given"]
        let json = try await run(Repository.lcp, arguments + ["--json"], environment: ["LCP_POLICY": "all"])
        #expect(json.status == 0, "\(json.errors)")
        let shown = try JSONDecoder().decode(Shown.self, from: Data(json.output.utf8))
        #expect(shown.file == file.path && shown.settings.map(\.setting) == Setting.allCases.map(\.rawValue))
        let from = Dictionary(uniqueKeysWithValues: shown.settings.map { ($0.setting, "\($0.from) \($0.place)") })
        #expect(from["qos"] == "file \(file.path):1:6" && from["pipeline"] == "option --pipeline")
        #expect(from["policy"] == "environment LCP_POLICY" && from["prefix"] == "default default")

        let table = try await run(Repository.lcp, arguments, environment: ["LCP_POLICY": "all"])
        #expect(table.output.split(separator: "\n").count == Setting.allCases.count + 1)
        #expect(table.output.contains(password.path) && table.output.contains("\(file.path):1:6"))
        for output in [json, table] { #expect(!(output.output + output.errors).contains("geheim")) }
        let worker = try await run(Repository.lcp, ["config", "show", "worker", "--branch", "2", "--name", "x"])
        #expect(worker.output.contains("worker.branch") && !worker.output.contains("sensor.rate"))
    }
}
