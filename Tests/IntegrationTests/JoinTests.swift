import Foundation
import LCPModels
import LCPWire
import MQTT
import Platform
import Tensors
import Testing

/// Workers that are told nothing but the broker and the pipeline.
/// One after the other: where models are kept is a variable of the whole process.
@Suite(.serialized) struct JoinTests {
    /// Every prediction that came, by the number of its frame.
    final class Answers {
        private let predictions: MQTTSubscription
        private(set) var found: [Int: [Prediction]] = [:]

        init(_ predictions: MQTTSubscription) { self.predictions = predictions }

        func hear(until frame: Int) async throws {
            while found[frame] == nil {
                let message = try await next(predictions)
                let prediction = try JSONDecoder().decode(Prediction.self, from: Data(message.payload))
                let number = try #require(Int(prediction.frame))
                found[number, default: []].append(prediction)
            }
        }
    }

    @Test func devicesShareTheBranchesAmongThemselves() async throws {
        let devices = try await Devices()
        try await devices.push("lenet-split4")
        try devices.start(.aggregator, "agg", ["--deadline", "5000"])
        try devices.start(.worker, "a")
        try await devices.waitForOwners([0: ["a"], 1: ["a"], 2: ["a"], 3: ["a"]])
        try devices.start(.worker, "b")
        try await devices.waitForOwners([0: ["a"], 1: ["a"], 2: ["b"], 3: ["b"]])
        try devices.start(.worker, "c")
        try devices.start(.worker, "d")
        try await devices.waitForOneEach(4)
        try await devices.wait("the aggregator") { $0["agg"]?.state == .ready }
        let answers = try await devices.frames(0..<50)
        devices.expectWhole(answers, [0, 1, 2, 3])

        // A fifth helps, and takes over when another is gone.
        try devices.start(.worker, "e")
        try await devices.wait("five") { known in devices.owners(known).values.joined().count == 5 }
        let lost = try #require(devices.owners(devices.known)[3]?.first)
        devices.signal(lost, SIGKILL)
        try await devices.wait("taken over") { known in
            let owners = devices.owners(known.filter { $0.key != lost })
            return owners.count == 4 && owners.values.allSatisfy { $0.count == 1 }
        }
        let after = try await devices.frames(100..<150)
        devices.expectWhole(after, [0, 1, 2, 3])
    }

    /// Which frames are computed is the aggregator's to say: what a stranger says of it does not last.
    @Test func aStrangersPlanIsTakenBack() async throws {
        let devices = try await Devices()
        try devices.start(.worker, "a", ["--model", "lenet-split2"])
        try devices.start(.aggregator, "agg", ["--model", "lenet-split2"])
        try await devices.waitForOwners([0: ["a"], 1: ["a"]])
        try await devices.wait("the aggregator") { $0["agg"]?.state == .ready }
        let plan = FlowPlan(sensors: [
            "cam": .init(rule: .init(every: 1_000_000, phase: 7), before: .init(), session: 1, from: 0)
        ])
        let plans = try await devices.client.subscribe(to: devices.topics.flow)
        try await devices.client.publish(
            Array(try JSONEncoder().encode(plan)), to: devices.topics.flow, qos: .atLeastOnce, retain: true)
        // The plan that was kept before, what was just published, and then the correction.
        while try await FlowPlan(next(plans).payload)?.sensors.isEmpty != false {}
        while try await FlowPlan(next(plans).payload)?.sensors.isEmpty == false {}
        _ = try await devices.frames(0..<20)
    }

    /// A worker that is taking branches over when the broker goes waits for it no longer than it is asked to.
    @Test func aWorkerEndsAlsoWhereTheBrokerIsGone() async throws {
        let devices = try await Devices()
        for name in ["a", "b"] { try devices.start(.worker, name, ["--model", "lenet-split4"]) }
        try await devices.wait("two each") { known in
            devices.owners(known).count == 4 && ["a", "b"].allSatisfy { known[$0]?.serves?.count == 2 }
        }
        // Each hears of the other's end before its own connection is gone, and begins to take over.
        devices.broker.broker.process.stop()
        try await Task.sleep(for: .milliseconds(300))
        #expect(devices.stop("a") == 0 && devices.stop("b") == 0)
    }

    /// Frames keep coming while a replica joins and is asked to leave: all of them are complete.
    @Test func aReplicaThatLeavesLosesNoFrame() async throws {
        let devices = try await Devices()
        try devices.start(.aggregator, "agg", ["--deadline", "10000", "--model", "lenet-split2"])
        try devices.start(.worker, "a", ["--model", "lenet-split2", "--branch", "0"])
        try devices.start(.worker, "b", ["--model", "lenet-split2", "--branch", "1"])
        try devices.start(
            .worker, "c",
            ["--model", "lenet-split2", "--branch", "1", "--service-time", "3"])
        try await devices.waitForOwners([0: ["a"], 1: ["b", "c"]])
        try await devices.wait("the aggregator") { $0["agg"]?.state == .ready }
        async let answers = devices.frames(0..<300)
        for _ in 0..<20 { try await devices.send(9_000_000) }
        #expect(devices.stop("c") == 0)
        devices.expectWhole(try await answers, [0, 1])
    }

    /// A broker that forgot everything is told everything again: who is there, and the model.
    @Test func aRestartedBrokerIsToldEverythingAgain() async throws {
        let devices = try await Devices()
        try await devices.push("lenet-split2")
        try devices.start(.aggregator, "agg", ["--deadline", "5000"])
        try devices.start(.worker, "a")
        try devices.start(.worker, "b")
        try await devices.waitForOneEach(2)
        try await devices.wait("the aggregator") { $0["agg"]?.state == .ready }
        let manifests = try await devices.client.subscribe(to: devices.topics.modelManifest)
        let first = try await next(manifests)
        try devices.broker.restart()
        var again = try await next(manifests)
        while again.payload != first.payload { again = try await next(manifests) }
        // The newcomer has nothing but what the broker was told again.
        try devices.start(.worker, "c", cache: devices.cache + "/other")
        try await devices.wait("a third") { devices.owners($0).values.joined().contains("c") }
        #expect(devices.known["c"]?.models == devices.known["a"]?.models)
        let answers = try await devices.frames(0..<20)
        devices.expectWhole(answers, [0, 1])
    }

    /// What somebody writes over them by mistake is put right: what roles say of themselves, and the model's manifest.
    @Test func whatIsOverwrittenIsPutBack() async throws {
        let devices = try await Devices()
        try await devices.push("lenet-split2")
        try devices.start(.aggregator, "agg", ["--deadline", "5000"])
        try devices.start(.worker, "a")
        try await devices.wait("both branches") { devices.owners($0) == [0: ["a"], 1: ["a"]] }
        try await devices.wait("the aggregator") { $0["agg"]?.state == .ready }
        let topics = [
            devices.topics.modelManifest, devices.topics.status(.worker, "a"),
            devices.topics.status(.aggregator, "agg"),
        ]
        for topic in topics {
            let messages = try await devices.client.subscribe(to: topic)
            let before = try await next(messages)
            for rubbish in [Array("rubbish".utf8), []] where topic != topics[0] || !rubbish.isEmpty {
                try await devices.client.publish(rubbish, to: topic, qos: .atLeastOnce, retain: true)
                var again = try await next(messages)
                while again.payload != before.payload { again = try await next(messages) }
            }
            messages.unsubscribe()
        }
        // A manifest of a later version is not for this one to judge.
        let manifests = try await devices.client.subscribe(to: topics[0])
        _ = try await next(manifests)
        let later = Array(#"{"format": 2}"#.utf8)
        try await devices.client.publish(later, to: topics[0], qos: .atLeastOnce, retain: true)
        #expect(try await next(manifests).payload == later)
        let answers = try await devices.frames(0..<20)
        devices.expectWhole(answers, [0, 1])
        manifests.unsubscribe()
    }

    @Test func theModelChangesWhileFramesCome() async throws {
        let devices = try await Devices()
        let folder = NSTemporaryDirectory() + "lcp-models-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for seed in 1...3 {
            let split = try await run(
                Repository.lcp,
                ["model", "split", "lenet", "--branches", "2", "--seed", "\(seed)", "--out", "\(folder)/\(seed)"])
            #expect(split.status == 0, "\(split.errors)")
        }
        let models = try (1...3).map { try ModelBundle(path: "\(folder)/\($0)").hash.description }
        try await devices.push("\(folder)/1")
        try devices.start(.aggregator, "agg", ["--deadline", "10000"])
        try devices.start(.worker, "a")
        try devices.start(.worker, "b")
        try await devices.waitForOneEach(2)
        try await devices.wait("the aggregator") { $0["agg"]?.state == .ready }
        async let answers = devices.frames(0..<1500)
        for number in 2...3 {
            try await devices.push("\(folder)/\(number)")
            try await devices.wait("model \(number)") { known in
                ["a", "b"].allSatisfy { known[$0]?.models == [models[number - 1]] }
            }
        }
        let found = try await answers
        devices.expectWhole(found, [0, 1])
    }

    /// While models change, a frame's shares come in both, and it is answered once all the same: after it was answered in the
    /// model before, where too many wait, where a model is forgotten, and at the end.
    @Test func aFrameIsAnsweredOnceInWhateverModel() async throws {
        let devices = try await Devices()
        try await devices.push("lenet-split2")
        try devices.start(.aggregator, "agg", ["--deadline", "600000"])
        try await devices.wait("the aggregator") { $0["agg"]?.state == .ready }
        let answers = Answers(try await devices.client.subscribe(to: devices.topics.predictions))
        // The test is the workers: it sends shares as it likes.
        let models = try [2, 4, 8].map { try ModelBundle(path: "\(Repository.root.path)/Models/lenet-split\($0)") }
        try devices.share(1, models[0], 0..<2)
        try await answers.hear(until: 1)
        try await devices.pushToAggregator("lenet-split4", 2)
        try devices.share(1, models[1], 0..<3)
        // More than may wait: half of them have more of the one model, half of the other.
        for frame in 2..<1202 {
            try devices.share(frame, models[0], 0..<1)
            try devices.share(frame, models[1], 0..<(frame % 2 == 0 ? 1 : 3))
            // A broker drops what a slow reader leaves lying: now and then it is waited for.
            if frame % 50 == 0 {
                try devices.share(10_000 + frame, models[1], 0..<4, of: "other")
                try await answers.hear(until: 10_000 + frame)
            }
        }
        try devices.share(2000, models[0], 0..<1)
        try devices.share(2001, models[1], 0..<4, of: "other")
        try await answers.hear(until: 2001)
        #expect(answers.found[2000] == nil)
        try await devices.pushToAggregator("lenet-split8", 3)
        try devices.share(2002, models[2], 0..<8, of: "other")
        try await answers.hear(until: 2002)
        #expect(answers.found[2000] == nil)
        // The model before is forgotten when nobody has sent anything of it for a while, and answers what waits in it.
        try await answers.hear(until: 2000)
        #expect(devices.stop("agg") == 0)
        // After everything that the aggregator sent.
        var last = try #require(answers.found[1]?.first)
        last.frame = "3000"
        try await devices.client.publish(
            Array(try JSONEncoder().encode(last)), to: devices.topics.prediction("cam"))
        try await answers.hear(until: 3000)

        let twice = answers.found.filter { $0.value.count != 1 }.keys.sorted()
        #expect(twice.isEmpty, "answered more than once: \(twice)")
        #expect((2..<1202).filter { answers.found[$0] == nil } == [])
        #expect((2..<1202).allSatisfy { answers.found[$0]?.first?.branches == ($0 % 2 == 0 ? [0] : [0, 1, 2]) })
        #expect(answers.found[2000]?.first?.missing == [1])
    }

    /// Where too many wait for one frame, that is answered early, and they are with it.
    @Test func whatWaitsForAFrameIsAnsweredWithIt() async throws {
        let devices = try await Devices()
        try devices.start(.aggregator, "agg", ["--model", "lenet-split2", "--deadline", "600000"])
        try await devices.wait("the aggregator") { $0["agg"]?.state == .ready }
        let answers = Answers(try await devices.client.subscribe(to: devices.topics.predictions))
        let model = try ModelBundle(path: "\(Repository.root.path)/Models/lenet-split2")
        try devices.share(1, model, 0..<2)
        try await answers.hear(until: 1)
        try devices.share(2, model, 0..<1)
        for frame in 3..<1027 {
            try devices.share(frame, model, 0..<2)
            if frame % 50 == 0 {
                try devices.share(10_000 + frame, model, 0..<2, of: "other")
                try await answers.hear(until: 10_000 + frame)
                #expect(answers.found[2] == nil)
            }
        }
        try await answers.hear(until: 1026)
        #expect(answers.found[2]?.first?.missing == [1])
        #expect((3..<1027).allSatisfy { answers.found[$0]?.map(\.missing) == [[]] })
    }

    /// Models with other numbers of branches, more and fewer: dealt out beside the old ones, and no frame is lost.
    @Test func aModelWithOtherBranchesTakesOverWhileFramesCome() async throws {
        let devices = try await Devices()
        try await devices.push("lenet-split2")
        try devices.start(.aggregator, "agg", ["--deadline", "10000"])
        for name in ["a", "b", "c"] { try devices.start(.worker, name) }
        try await devices.wait("three") { devices.owners($0).values.joined().count == 3 }
        try await devices.wait("the aggregator") { $0["agg"]?.state == .ready }
        // Not so many a second that a busy machine sheds them: that is another test.
        async let answers = devices.frames(0..<1200, every: .milliseconds(5))
        for (model, count) in [("lenet-split8", 8), ("lenet-split4", 4)] {
            try await devices.push(model)
            try await devices.wait("\(count) branches") { known in
                ["a", "b", "c"].allSatisfy { known[$0]?.branches == count && known[$0]?.next == nil }
                    && Set(devices.owners(known).keys) == Set(0..<count)
            }
        }
        let found = try await answers
        devices.expectWhole(found)
        #expect(Set(found.values.map(\.branches.count)) == [2, 4, 8])
    }

    /// Three at once: what the workers run is joined until they run the last, and no frame is lost.
    @Test func modelsThatArePushedAtOnceLoseNoFrame() async throws {
        let devices = try await Devices()
        try await devices.push("lenet-split4")
        try devices.start(.aggregator, "agg", ["--deadline", "10000"])
        for name in ["a", "b", "c"] { try devices.start(.worker, name) }
        try await devices.wait("three") { Set(devices.owners($0).values.joined()).count == 3 }
        try await devices.wait("the aggregator") { $0["agg"]?.state == .ready }
        async let answers = devices.frames(0..<800, every: .milliseconds(5))
        for model in ["lenet-split8", "lenet-split2", "lenet-split1"] { try await devices.push(model) }
        try await devices.wait("the last") { known in
            ["a", "b", "c"].allSatisfy { known[$0]?.branches == 1 && known[$0]?.next == nil }
        }
        let found = try await answers
        devices.expectWhole(found)
    }
}
