import Glibc
import LCPModels
import LCPWire
import MQTT
import Synchronization

/// What one broker carries and survives, and what others on it may do.
extension TrialRunner {
    /// Many pipelines, each with two workers, an aggregator and a sensor of five frames a second.
    func pipelines(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        let names = (0..<max(4, Int(100 * scale))).map { "p\($0)" }
        let frames = Int(5 * length(.pipelines))
        let answers = Mutex<[String: Set<String>]>([:])
        let incomplete = Mutex(0)
        let latencies = Mutex<[Double]>([])
        let predictions = try await pipeline.client.subscribe(to: "lcp/+/prediction/+") { message in
            guard let prediction = Prediction(Array(message.payload)) else { return }
            answers.withLock { _ = $0[message.topic, default: []].insert(prediction.frame) }
            if !prediction.missing.isEmpty { incomplete.withLock { $0 += 1 } }
            if let latency = prediction.latencyMilliseconds { latencies.withLock { $0.append(latency) } }
        }
        defer { predictions.unsubscribe() }
        let model = ["--model", "lenet-split2"]
        for name in names {
            for worker in ["a", "b"] {
                try pipeline.start(.worker, worker, ["--threads", "1"] + model, in: name)
            }
            try pipeline.start(.aggregator, "aggregator", ["--deadline", "1000"] + model, in: name)
            try pipeline.start(
                .sensor, "cam", ["--source", "drawn", "--rate", "5", "--count", "\(frames)", "--qos", "1"], in: name)
        }
        for name in names {
            while try !pipeline.hasEnded("\(name)/cam") { try await Task.sleep(for: .milliseconds(20)) }
        }
        let failed = try names.count { try pipeline.process("\($0)/cam").poll() != 0 }
        result.add("pipelines", Double(names.count))
        result.add("frames", Double(frames * names.count))
        let answered = answers.withLock { $0.values.reduce(0) { $0 + $1.count } }
        result.add("frames_lost", Double(frames * names.count - answered), atMost: 0)
        result.add("frames_incomplete", Double(incomplete.withLock { $0 }))
        result.add("sensors_that_failed", Double(failed), atMost: 0)
        let sorted = latencies.withLock { $0.sorted() }
        result.add("latency_p50_ms", Self.percentile(sorted, 0.5))
        result.add("latency_p99_ms", Self.percentile(sorted, 0.99))
    }

    /// At QoS 0: nobody who lives is taken for one that hangs because he is not back yet.
    func restarts(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        try await pipeline.startRoles(workers: 4, branches: 4)
        let count = max(2, Int(6 * scale))
        async let streamed = pipeline.stream("cam", rate: 100, seconds: 3 * Double(count))
        for _ in 0..<count {
            try await Task.sleep(for: .seconds(1))
            pipeline.killBroker()
            try await Task.sleep(for: .milliseconds(500))
            try pipeline.restartBroker()
            let restarted = ContinuousClock.now
            _ = try await pipeline.arrivals(of: ["w0", "w1", "w2", "w3", "aggregator"], after: restarted)
            try await Task.sleep(for: .milliseconds(500))
        }
        let during = try await streamed
        result.add("restarts", Double(count))
        result.add("frames_during", Double(during))
        result.add("frames_answered_during", Double(pipeline.answers(of: "cam").count))
        result.add("workers_cut_off", Double(pipeline.losses), atMost: 0)
        let frames = try await pipeline.stream("after", rate: 100, seconds: 2)
        self.count(pipeline.answers(of: "after"), of: frames, into: &result)
        result.add("frames_incomplete_afterwards_share", result["frames_incomplete", default: 0], atMost: 0)
    }

    /// A limit for the size of files stands in for a full disk.
    func disk(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        let folder = try TrialFolder()
        defer { folder.remove() }
        let bundles = [try ModelBundle.find("lenet-split4"), try Self.untrained(7, branches: 4, in: folder.path)]
        try await push(bundles[0], to: pipeline)
        let names = (0..<4).map { "w\($0)" }
        for name in names { try pipeline.start(.worker, name, cache: "\(folder.path)/\(name)") }
        try pipeline.start(.aggregator, "aggregator", ["--deadline", "1000"], cache: "\(folder.path)/aggregator")
        func isRun(_ bundle: ModelBundle, by names: ArraySlice<String>) -> ([String: RoleStatus]) -> Bool {
            { statuses in
                TrialPipeline.served(statuses).count == 4
                    && names.allSatisfy { statuses[$0]?.models == [bundle.hash.description] }
            }
        }
        try await pipeline.wait("four workers and the aggregator are ready") {
            isRun(bundles[0], by: names[...])($0) && $0["aggregator"]?.state == .ready
        }
        async let streamed = pipeline.stream("cam", rate: 100, seconds: max(16, length(.disk)))
        try pipeline.process("w3").limitFiles(to: 0)
        try await Task.sleep(for: .seconds(0.5))
        try await push(bundles[1], to: pipeline)
        try await Task.sleep(for: .seconds(1))
        result.add(
            "workers_without_room", pipeline.statuses["w3"]?.models == [bundles[0].hash.description] ? 1 : 0, atLeast: 1
        )
        try pipeline.process("w3").limitFiles(to: .max)
        let roomy = ContinuousClock.now
        let settled = try await pipeline.wait("all run the pushed model", isRun(bundles[1], by: names[...]))
        result.add("settled_after_s", Self.seconds(roomy, settled), atMost: 12)
        let frames = try await streamed
        let answers = pipeline.answers(of: "cam")
        count(answers, of: frames, into: &result)
        let references = try bundles.map { try TrialReference($0) }
        let whole = answers.filter(\.prediction.missing.isEmpty)
        let mixed = try whole.count { answer in try !references.contains { try $0.agrees(answer.prediction) } }
        result.add("predictions_mixed", Double(mixed), atMost: 0)
        let last = try whole.suffix(100).count { try references[1].agrees($0.prediction) }
        result.add("last_100_by_the_new_model", Double(last), atLeast: 100)
    }

    func theft(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        try await pipeline.startRoles(workers: 4, branches: 4)
        let stolen = Mutex(0)
        var subscriptions: [MQTTSubscription] = []
        defer { for subscription in subscriptions { subscription.unsubscribe() } }
        for branch in 0..<4 {
            subscriptions.append(
                try await pipeline.client.subscribe(to: pipeline.topics.sharedInputs(branch: branch, of: 4)) { _ in
                    stolen.withLock { $0 += 1 }
                })
        }
        let frames = try await pipeline.stream("cam", rate: 100, seconds: length(.theft))
        let answers = pipeline.answers(of: "cam")
        result.add("frames_stolen", Double(stolen.withLock { $0 }), atMost: 0)
        count(answers, of: frames, into: &result)
        result.add("frames_incomplete_by_theft", Double(answers.count { !$0.prediction.missing.isEmpty }), atMost: 0)
    }
}
