import Glibc
import LCPModels
import LCPPipeline
import LCPWire
import MQTT
import Platform

/// Too many frames, models that change, and long streams.
extension TrialRunner {
    func overload(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        try await pipeline.startRoles(workers: 4, branches: 4, ofWorkers: ["--service-time", "\(Self.serviceTime)"])
        let capacity = 1000 / Self.serviceTime
        let length = length(.overload)
        _ = try await pipeline.stream("calm", rate: capacity / 2, seconds: max(4, length / 6))
        let calm = pipeline.answers(of: "calm").compactMap(\.prediction.latencyMilliseconds).sorted()
        async let streamed = pipeline.stream("flood", rate: 5 * capacity, seconds: length)
        try await Task.sleep(for: .seconds(0.2 * length))
        let before = try Self.memory(of: pipeline)
        try await Task.sleep(for: .seconds(0.75 * length))
        let after = try Self.memory(of: pipeline)
        let frames = try await streamed
        try await Task.sleep(for: .seconds(5.5))
        let answers = pipeline.answers(of: "flood")
        let latencies = answers.compactMap(\.prediction.latencyMilliseconds).sorted()
        let p99 = Self.percentile(calm, 0.99)
        result.add("frames", Double(frames))
        result.add("frames_answered", Double(answers.count))
        result.add("answered_of_capacity", Double(answers.count) / (capacity * length))
        result.add("frames_incomplete", Double(answers.count { !$0.prediction.missing.isEmpty }))
        result.add("calm_latency_p99_ms", p99)
        result.add("latency_p50_ms", Self.percentile(latencies, 0.5))
        result.add("latency_p99_ms", Self.percentile(latencies, 0.99), atMost: 2 * p99)
        result.add("latency_worst_ms", latencies.last ?? .nan)
        addGrowth(from: before, to: after, into: &result)
        for (id, statistics) in pipeline.statistics.sorted(by: { $0.key < $1.key }) {
            if let shed = statistics.dropped["overload"] { result.add("shed_by_\(id)", Double(shed), atLeast: 1) }
        }
    }

    func models(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        let folder = try TrialFolder()
        defer { folder.remove() }
        var bundles = [try ModelBundle.find("lenet-split4")]
        // Twice with as many branches as before, three times with others.
        for (seed, branches) in [4, 8, 2, 4, 4].enumerated() {
            bundles.append(try Self.untrained(UInt64(seed) + 1, branches: branches, in: folder.path))
        }
        try await push(bundles[0], to: pipeline)
        try await pipeline.startRoles(workers: 4, branches: 4, deadline: 1000)
        let length = length(.models)
        async let streamed = pipeline.stream("cam", rate: 100, seconds: length)
        try await Task.sleep(for: .seconds(1))
        let begin = ContinuousClock.now
        for bundle in bundles.dropFirst() {
            try await push(bundle, to: pipeline)
            let hash = bundle.hash.description
            try await pipeline.wait("all run the model \(bundle.manifest.name)") { statuses in
                statuses.values.allSatisfy { $0.role != .worker || $0.models == [hash] }
            }
        }
        result.add("pushes", 5)
        result.add("changes_took_s", Self.seconds(begin, .now))
        let frames = try await streamed
        let answers = pipeline.answers(of: "cam")
        count(answers, of: frames, into: &result)
        let references = try bundles.map { try TrialReference($0) }
        let mixed = try answers.count { answer in try !references.contains { try $0.agrees(answer.prediction) } }
        result.add("predictions_mixed", Double(mixed), atMost: 0)
        let used = try references.count { reference in try answers.contains { try reference.agrees($0.prediction) } }
        result.add("models_that_answered", Double(used), atLeast: 6)
    }

    func stream(_ pipeline: TrialPipeline, _ result: inout TrialResult) async throws {
        try await pipeline.startRoles(workers: 4, branches: 4)
        let rate = 200.0
        let length = length(.stream)
        let count = Int(rate * length)
        try pipeline.start(.sensor, "cam", ["--source", "drawn", "--rate", "\(rate)", "--count", "\(count)"])
        // What is allocated once is there after a tenth, or a minute.
        let settling = min(60, length / 10)
        try await Task.sleep(for: .seconds(settling))
        let before = try Self.memory(of: pipeline)
        let descriptors = try Self.descriptors(of: pipeline)
        let retained = try await pipeline.retainedCount()
        var joins: [Double] = []
        // Bit by bit: a frame's answers lie closer together than a second.
        var (answered, twice, incomplete) = (Set<Int>(), 0, 0)
        func take() {
            for answer in pipeline.takeAnswers(of: "cam") {
                guard let number = Int(answer.prediction.frame) else { continue }
                if !answered.insert(number).inserted { twice += 1 }
                if !answer.prediction.missing.isEmpty { incomplete += 1 }
                if let join = answer.prediction.joinMilliseconds { joins.append(join) }
            }
        }
        let end = ContinuousClock.now + .seconds(length - settling - 1)
        while ContinuousClock.now < end {
            try await Task.sleep(for: .seconds(min(1, max(0.01, Self.seconds(.now, end)))))
            take()
        }
        let (after, descriptorsAfter) = (try Self.memory(of: pipeline), try Self.descriptors(of: pipeline))
        let retainedAfter = try await pipeline.retainedCount()
        while try !pipeline.hasEnded("cam") { try await Task.sleep(for: .milliseconds(10)) }
        try await Task.sleep(for: .seconds(1))
        take()
        result.add("frames", Double(count))
        result.add("frames_lost", Double(count - answered.count), atMost: 0)
        result.add("frames_answered_twice", Double(twice), atMost: 0)
        result.add("frames_incomplete", Double(incomplete))
        joins.sort()
        result.add("join_p50_ms", Self.percentile(joins, 0.5))
        result.add("join_p99_9_ms", Self.percentile(joins, 0.999))
        result.add("join_worst_ms", joins.last ?? .nan)
        addGrowth(from: before, to: after, into: &result)
        let more = descriptorsAfter.reduce(0) { max($0, $1.value - (descriptors[$1.key] ?? $1.value)) }
        result.add("descriptors_more", Double(more), atMost: 0)
        result.add("retained_messages_more", Double(retainedAfter - retained), atMost: 0)
    }

    private static func descriptors(of pipeline: TrialPipeline) throws -> [String: Int] {
        try pipeline.ofEach(pipeline.descriptors)
    }

    // MARK: Models

    func push(_ bundle: ModelBundle, to pipeline: TrialPipeline) async throws {
        let configuration = PipelineConfiguration(
            mqtt: MQTTConfiguration(address: try MQTTAddress(pipeline.url)), pipeline: TrialPipeline.name)
        _ = try await ModelPush.push(bundle, configuration)
    }

    /// LeNet with random weights.
    static func untrained(_ seed: UInt64, branches: Int, in folder: String) throws -> ModelBundle {
        let network = try Network.lenet.split(into: branches)
        var random = SeededGenerator(seed: seed)
        return try ModelBundle.write(
            name: "untrained-\(seed)", network: network, parameters: try .random(for: network, using: &random),
            preprocessing: .init(mean: [0.5], standardDeviation: [0.5]), labels: (0..<10).map { "\($0)" },
            to: "\(folder)/\(seed)")
    }
}

/// A folder for a trial's files, and its end.
struct TrialFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/lcp-trial-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw PipelineError(.resources, "cannot make a folder in /tmp: \(String(cString: strerror(errno)))")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func remove() {
        func remove(_ path: String) {
            for name in (try? FileIO.list(path)) ?? [] { remove("\(path)/\(name)") }
            if unlink(path) != 0 { rmdir(path) }
        }
        remove(path)
    }
}
