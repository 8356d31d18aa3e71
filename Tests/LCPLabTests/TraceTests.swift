import Charts
import LCPWire
import Tensors
import Testing

@testable import LCPLab

@Suite struct TraceTests {
    /// Whole milliseconds as nanoseconds, an hour after 1970, so that clocks may be behind.
    private static func at(_ milliseconds: Double) -> Int64 { 3_600_000_000_000 + Int64(milliseconds * 1e6) }

    /// A frame that is captured at 0, encoded for 1 ms, 2 ms on its way to the broker and 1 to the branch, waits 1, is decoded for
    /// 2 and computed for 4, and so on; the clocks of the branch and of the aggregator are ahead by so much.
    private static func collect(
        _ collector: inout TraceCollector, branch: Double = 0, aggregator: Double = 0, here: Double = 0,
        number: UInt64 = 7
    ) throws -> FrameTrace? {
        let shape = try #require(Shape([4]))
        var input = TensorMessageHeader(
            kind: .input, dtype: .uint8, shape: shape, session: 5, frame: number, captureTime: at(0))
        input.version2 = .init(encoding: .jpeg, sendTime: at(1), encodeTime: 1000)
        var features = TensorMessageHeader(
            kind: .features, dtype: .fp16, shape: shape, session: 5, frame: number, captureTime: at(0), branch: 0,
            branchCount: 1, queueTime: 1000, computeTime: 4000)
        features.version2 = .init(receiveTime: at(4 + branch), sendTime: at(11.5 + branch), decodeTime: 2000)
        collector.input(input, sensor: "door", here: at(3 + here))
        collector.features(features, sensor: "door", here: at(12.5 + here))
        let json = """
            {"sensor": "door", "frame": "\(number)", "class": 0, "label": "0", "branches": [0], "missing": [], "compute_ms": 4,
             "join_ms": 0.5, "latency_ms": \(14 + aggregator)}
            """
        return collector.prediction(try #require(Prediction(Array(json.utf8))), here: at(15 + here))
    }

    private static func spans(_ trace: FrameTrace) -> [String: [Double]] {
        var result: [String: [Double]] = [:]
        for lane in trace.lanes {
            for span in lane.spans { result["\(lane.name) \(span.kind.rawValue)"] = [span.begin, span.end] }
        }
        return result
    }

    @Test("A frame's time is in its spans, one after the other")
    func spans() throws {
        var collector = TraceCollector()
        let trace = try #require(try Self.collect(&collector))
        #expect(
            Self.spans(trace) == [
                "sensor capture": [0, 0], "sensor encode": [0, 1], "sensor uplink": [1, 3],
                "branch 0 downlink": [3, 4],
                "branch 0 queue": [4, 5], "branch 0 decode": [5, 7], "branch 0 compute": [7, 11],
                "branch 0 send": [11, 11.5],
                "branch 0 features": [11.5, 12.5], "aggregator join": [13.5, 14], "aggregator prediction": [14, 15],
            ])
        #expect(collector.clocks.map(\.estimate) == [0, 0, 0])
        let svg = trace.chart(title: "T", summary: "S").svg()
        #expect(svg.contains("branch 0, compute: 4 ms, from 7 ms") && svg.contains("<svg"))
    }

    @Test("Times of devices for which time was dilated are divided")
    func dilatedTimes() throws {
        var collector = TraceCollector()
        let trace = try #require(try Self.collect(&collector)).divided(by: 4)
        #expect(trace.latencyMilliseconds == 3.5)
        #expect(Self.spans(trace)["branch 0 compute"] == [7.0 / 4, 11.0 / 4])
    }

    @Test("Clocks that cannot be right are moved by the least that makes them so", arguments: [-500.0, -20, 20, 500])
    func clocks(ahead: Double) throws {
        var collector = TraceCollector()
        let trace = try #require(try Self.collect(&collector, branch: ahead, aggregator: ahead))
        let clocks = Dictionary(uniqueKeysWithValues: collector.clocks.map { ($0.device, $0) })
        for device in ["branch 0", "aggregator"] {
            let clock = try #require(clocks[device])
            #expect(clock.lowest <= ahead && ahead <= clock.highest && clock.highest - clock.lowest < 20)
            #expect(abs(clock.estimate) <= abs(ahead))
        }
        // Nothing comes before it was sent.
        let spans = Self.spans(trace)
        #expect(try #require(spans["branch 0 downlink"])[1] >= 1)
        #expect(try #require(spans["aggregator join"])[1] >= (try #require(spans["branch 0 send"]))[1])
        for (_, span) in spans { #expect(span[1] >= span[0]) }
    }

    @Test("A frame of which something was not seen has no trace, and old ones are forgotten")
    func incompleteFrames() throws {
        var collector = TraceCollector()
        let json =
            #"{"sensor": "door", "frame": "1", "class": 0, "label": "0", "branches": [0], "missing": [], "compute_ms": 4}"#
        let prediction = try #require(Prediction(Array(json.utf8)))
        #expect(collector.prediction(prediction, here: 0) == nil)
        for number in 0..<1000 { #expect(try Self.collect(&collector, number: UInt64(number)) != nil) }
        // Sent, and answered when nobody remembers.
        let shape = try #require(Shape([4]))
        func input(_ number: UInt64) -> TensorMessageHeader {
            var header = TensorMessageHeader(
                kind: .input, dtype: .uint8, shape: shape, session: 5, frame: number, captureTime: Self.at(0))
            header.version2 = .init(sendTime: Self.at(1))
            return header
        }
        for number in 0..<300 { collector.input(input(UInt64(2000 + number)), sensor: "door", here: Self.at(2)) }
        let late = json.replacing("\"1\"", with: "\"2000\"").replacing("[0]", with: "[]")
        let kept = json.replacing("\"1\"", with: "\"2299\"").replacing("[0]", with: "[]")
        #expect(collector.prediction(try #require(Prediction(Array(late.utf8))), here: Self.at(3)) == nil)
        #expect(collector.prediction(try #require(Prediction(Array(kept.utf8))), here: Self.at(3)) != nil)
    }

    @Test("Branches that tell no times are named")
    func silentBranches() throws {
        var collector = TraceCollector()
        let header = TensorMessageHeader(
            kind: .features, dtype: .fp32, shape: try #require(Shape([4])), session: 5, frame: 1, branch: 3)
        collector.features(header, sensor: "door", here: 0)
        #expect(collector.silent == [3])
    }
}
