import Foundation
import LCPLocal
import LCPModels
import LCPWire
import MQTT
import Platform
import Tensors
import Testing

/// Processes of a pipeline that come and go, and what they say of themselves.
final class Devices: @unchecked Sendable {
    let broker: TestBroker
    let client: MQTTClient
    let topics: Topics
    let cache = NSTemporaryDirectory() + "lcp-cache-\(UUID().uuidString)"
    private var processes: [String: ChildProcess] = [:]
    private let statuses: MQTTSubscription
    private(set) var known: [String: RoleStatus] = [:]

    init(port: Int = 0) async throws {
        broker = try TestBroker(port: port)
        client = try await broker.connect()
        topics = try Topics(pipeline: "join")
        statuses = try await client.subscribe(to: topics.statuses)
    }

    deinit {
        for process in processes.values { process.stop() }
        try? FileManager.default.removeItem(atPath: cache)
    }

    /// All frames are computed, unless the arguments say otherwise: where a busy machine stops for a moment, the newest would
    /// take the place of those that wait, which is another test's business.
    ///
    /// - Parameter cache: where it keeps models; all in one folder where nil.
    func start(_ role: Role, _ name: String, _ arguments: [String] = [], cache: String? = nil) throws {
        let policy = role == .sensor || arguments.contains("--policy") ? [] : ["--policy", "all", "--queue", "10000"]
        let arguments = arguments + policy
        processes[name] = try RoleLauncher(
            executable: Repository.lcp, url: broker.url, pipeline: "join", cache: cache ?? self.cache
        )
        .start(role, name, arguments)
    }

    func signal(_ name: String, _ number: Int32) {
        if let process = processes[name] { kill(process.processID, number) }
    }

    func stop(_ name: String) -> Int32? { processes.removeValue(forKey: name)?.stop() }

    /// Waits until what the devices say of themselves is as wanted.
    func wait(_ what: String, _ isDone: ([String: RoleStatus]) -> Bool) async throws {
        while !isDone(known) {
            let message: MQTTMessage
            do { message = try await next(statuses, within: .seconds(20)) } catch {
                Issue.record(
                    "never seen: \(what); seen: \(known.values.map { "\($0.id) \($0.state) \($0.serves ?? []) \($0.models ?? [])" })"
                )
                throw error
            }
            guard let status = RoleStatus(message.payload) else { continue }
            known[status.id] = status
        }
    }

    /// Forgets what was heard: everybody is gone.
    func forget() { known = [:] }

    /// The workers of each branch.
    func owners(_ known: [String: RoleStatus]) -> [Int: [String]] {
        var owners: [Int: [String]] = [:]
        for status in known.values where status.role == .worker && status.state == .ready {
            for branch in status.serves ?? [] { owners[branch, default: []].append(status.id) }
        }
        return owners.mapValues { $0.sorted() }
    }

    /// Waits until every branch has one worker and every worker one branch.
    func waitForOneEach(_ count: Int) async throws {
        try await wait("one branch each") { known in
            let owners = self.owners(known)
            return owners.count == count && owners.values.allSatisfy { $0.count == 1 }
                && Set(owners.values.joined()).count == count
        }
    }

    func waitForOwners(_ wanted: [Int: [String]]) async throws {
        try await wait("\(wanted)") { self.owners($0) == wanted }
    }

    /// Sends frames of zeros with a number each, and returns the predictions by frame.
    func frames(_ numbers: Range<Int>, every interval: Duration = .milliseconds(2)) async throws -> [String:
        Prediction]
    {
        // Read while it is sent: a broker drops what a slow reader leaves lying.
        let predictions = try await client.subscribe(to: topics.predictions)
        let count = numbers.count
        async let found = Self.collect(predictions, numbers: numbers)
        for number in numbers {
            try await send(number)
            try await Task.sleep(for: interval)
        }
        let result = try await found
        #expect(result.count == count)
        return result
    }

    /// Expects that every frame was answered from all branches, and tells which were not.
    func expectWhole(_ found: [String: Prediction], _ branches: [Int]? = nil) {
        let lacking = found.values.filter { !$0.missing.isEmpty || branches != nil && $0.branches != branches }
        let told = lacking.sorted { $0.frame < $1.frame }.prefix(20)
            .map { "\($0.frame): \($0.branches), without \($0.missing), after \($0.joinMilliseconds ?? -1) ms" }
        #expect(lacking.isEmpty, "\(lacking.count) of \(found.count) frames: \(told.joined(separator: "; "))")
    }

    private static func collect(
        _ predictions: MQTTSubscription, numbers: Range<Int>
    ) async throws -> [String: Prediction] {
        var found: [String: Prediction] = [:]
        while found.count < numbers.count {
            let message: MQTTMessage
            do { message = try await next(predictions, within: .seconds(20)) } catch {
                Issue.record("frames without an answer: \(numbers.filter { found["\($0)"] == nil })")
                throw error
            }
            let prediction = try JSONDecoder().decode(Prediction.self, from: Data(message.payload))
            guard let frame = Int(prediction.frame), numbers.contains(frame) else { continue }
            #expect(found[prediction.frame] == nil, "frame \(prediction.frame) was answered twice")
            found[prediction.frame] = prediction
        }
        return found
    }

    func send(_ number: Int) async throws {
        let shape = try #require(Shape([28, 28, 1]))
        let tensor = try Tensor(
            dtype: .uint8, shape: shape, bytes: (0..<784).map { UInt8(truncatingIfNeeded: $0 &* number) })
        let header = TensorMessageHeader(
            kind: .input, dtype: .uint8, shape: shape, session: 9, frame: UInt64(number), captureTime: 0, label: -1)
        try await client.publish(TensorMessage.encode(header, tensor), to: topics.input("cam"))
    }

    /// Sends some branches' shares of a frame, as their workers would.
    func share(_ frame: Int, _ bundle: ModelBundle, _ branches: Range<Int>, of sensor: String = "cam") throws {
        let network = bundle.network
        let shape = try #require(Shape([network.classes]))
        let tensor = try Tensor(
            dtype: .fp32, shape: shape, bytes: [UInt8](repeating: 0, count: 4 * network.classes))
        for branch in branches {
            let header = TensorMessageHeader(
                kind: try network.output(of: branch) == .features ? .features : .partialLogits, dtype: .fp32,
                shape: shape, session: 9, frame: UInt64(frame), captureTime: 0,
                branch: UInt16(branch), branchCount: UInt16(network.branches.count), model: bundle.hash, label: -1)
            try TensorMessage.encode(header, tensor).withUnsafeBytes {
                try client.send($0, to: topics.features(branch: branch, sensor: sensor))
            }
        }
    }

    /// Pushes a shipped model and waits until the aggregator joins it, too.
    func pushToAggregator(_ name: String, _ count: Int) async throws {
        try await push(name)
        let hash = try ModelBundle(path: "\(Repository.root.path)/Models/\(name)").hash.description
        try await wait("joins \(name)") { $0["agg"]?.models?.count == count && $0["agg"]?.models?.last == hash }
    }

    func push(_ model: String) async throws {
        let outcome = try await run(
            Repository.lcp, ["model", "push", model, "--broker", broker.url, "--pipeline", "join", "--json"])
        #expect(outcome.status == 0, "\(outcome.errors)")
    }
}
