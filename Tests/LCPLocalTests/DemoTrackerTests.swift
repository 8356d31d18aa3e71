import LCPWire
import Tensors
import Testing

@testable import LCPLocal

@Suite struct DemoTrackerTests {
    static let start = ContinuousClock.now

    static func message(_ frame: UInt64, kind: TensorMessageHeader.Kind = .input) -> [UInt8] {
        let isInput = kind == .input
        let header = TensorMessageHeader(
            kind: kind, dtype: .uint8, shape: [2], session: 1, frame: frame, captureTime: 1_000_000,
            branchCount: isInput ? 0 : 1)
        var bytes = [UInt8](repeating: 7, count: TensorMessageHeader.minimumSize + 2)
        bytes.withUnsafeMutableBytes { TensorMessage.encodeHeader(header, into: $0) }
        return bytes
    }

    static func predict(
        _ tracker: inout DemoTracker, _ frame: String, class: Int = 3, missing: [Int] = [], truth: Int? = nil,
        after milliseconds: Int = 0
    ) {
        let json = """
            {"sensor":"cam","frame":"\(frame)","class":\(`class`),"label":"","branches":[],"missing":\(missing),
            "compute_ms":0\(truth.map { ",\"truth\":\($0)" } ?? "")}
            """
        tracker.prediction(
            Array(json.utf8), now: start + .milliseconds(milliseconds), wallClock: Int64(milliseconds + 1) * 1_000_000)
    }

    @Test("Frames and predictions are counted, right ones among those whose truth is known")
    func counts() {
        var tracker = DemoTracker()
        for frame in 1...4 as ClosedRange<UInt64> { tracker.input(Self.message(frame)) }
        Self.predict(&tracker, "1", truth: 3)
        Self.predict(&tracker, "2", truth: 4)
        Self.predict(&tracker, "3", missing: [1], after: 5)
        #expect([tracker.frames, tracker.predictions, tracker.lost] == [4, 3, 1])
        #expect([tracker.judged, tracker.right, tracker.incomplete] == [2, 1, 1])
        #expect(tracker.last?.number == 3 && tracker.last?.pixels == [7, 7])
        #expect(tracker.last?.latencyMilliseconds == 5)
        #expect(tracker.latency(0) == 0 && tracker.latency(100) == 5)
    }

    @Test("A frame that is sent again is the same frame, and its latency counts from the first time")
    func repeats() {
        var tracker = DemoTracker()
        for frame in [1, 2, 1, 2, 3] as [UInt64] { tracker.input(Self.message(frame)) }
        for frame in 1...3 { Self.predict(&tracker, "\(frame)") }
        #expect(tracker.frames == 3 && tracker.lost == 0)
    }

    @Test("What is no input, no prediction or no status changes nothing")
    func others() {
        var tracker = DemoTracker()
        for payload in [[], Self.message(1, kind: .features), Array("{".utf8)] {
            tracker.input(payload)
            tracker.prediction(payload, now: Self.start, wallClock: 0)
            tracker.status(payload)
        }
        Self.predict(&tracker, "x")
        #expect(tracker.frames == 0 && tracker.predictions == 0 && tracker.workers.isEmpty)
        #expect(tracker.latency(50) == 0 && tracker.framesPerSecond == 0)
    }

    @Test("A prediction of a frame that was not seen counts, and has no picture and no latency")
    func unseen() {
        var tracker = DemoTracker()
        Self.predict(&tracker, "1")
        #expect(tracker.predictions == 1 && tracker.last == nil && tracker.latency(100) == 0 && tracker.lost == 0)
        // The picture of one that was answered before is gone.
        tracker.input(Self.message(2))
        for time in [3, 9] { Self.predict(&tracker, "2", after: time) }
        #expect(tracker.last?.latencyMilliseconds == 3)
    }

    @Test("Frames that are never answered do not fill the memory, and later ones still have their pictures")
    func neverAnswered() throws {
        var tracker = DemoTracker()
        for frame in 0..<3000 as Range<UInt64> { tracker.input(Self.message(frame)) }
        let open = try #require(Mirror(reflecting: tracker).descendant("open") as? any Collection)
        #expect(open.count <= 1024 && tracker.frames == 3000)
        Self.predict(&tracker, "2999")
        #expect(tracker.last?.number == 2999)
    }

    @Test("The rate of predictions is known from the second one on, where time has passed")
    func rate() {
        var tracker = DemoTracker()
        for time in [0, 0] {
            Self.predict(&tracker, "1", after: time)
            #expect(tracker.framesPerSecond == 0)
        }
        Self.predict(&tracker, "1", after: 500)
        #expect(abs(tracker.framesPerSecond - 4) < 1e-9)
    }

    @Test("A worker is known by its branch, and one without a branch of its own is not")
    func statuses() {
        var tracker = DemoTracker()
        var worker = RoleStatus(state: .ready, role: .worker, id: "w", birth: "b")
        tracker.status(worker.json)
        #expect(tracker.workers.isEmpty)
        worker.branch = 2
        tracker.status(worker.json)
        for role in [Role.aggregator, .sensor] {
            tracker.status(RoleStatus(state: .ready, role: role, id: "x", birth: "b").json)
        }
        #expect(tracker.workers.mapValues(\.id) == [2: "w"])
        #expect(tracker.aggregators.count == 1 && tracker.sensor?.role == .sensor)
    }
}
