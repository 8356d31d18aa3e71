import Foundation
import HostileInputs
import LCPFuzzing
import LCPLocal
import LCPPipeline
import LCPWire
import Platform
import Tensors
import Testing

@testable import lcp

/// A short run of what `make fuzz` does for long: the same parsers and seeds, with mutations that are the same every time.
@Suite struct FuzzTests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    static let fixtures = Fixtures(path: root + "/Tests/Fixtures")

    /// Half of what an event loop has, whose thread reads most of what comes.
    static let stackSize = 1 << 19

    @Test(.serialized, arguments: Parser.all.map(\.name))
    func mutationsBreakNoPromise(name: String) async throws {
        let parser = try #require(Parser.all.first { $0.name == name })
        // What a long run once found is read first.
        let seeds = parser.seeds(Self.fixtures) + Fixtures(path: Self.root).files("Fuzzing/corpus/\(name)")
        try #require(!seeds.isEmpty)
        let report = await withCheckedContinuation { continuation in
            do {
                try startThread(name: "fuzz", stackSize: Self.stackSize) {
                    continuation.resume(returning: Self.run(parser, seeds, seconds: 0.5))
                }
            } catch { continuation.resume(returning: "\(error)") }
        }
        #expect(report == nil)
    }

    /// All seeds, then mutations of them for about so long, or a hundred thousand; nil where nothing was found.
    private static func run(_ parser: Parser, _ seeds: [[UInt8]], seconds: Double) -> String? {
        var mutator = Mutator(parser.format, seed: 1)
        var corpus = seeds
        var end = ContinuousClock.now
        var (executions, accepted) = (0, 0)
        while executions < seeds.count || executions < 100_000 && ContinuousClock.now < end {
            let isSeed = executions < seeds.count
            let bytes = isSeed ? seeds[executions] : mutator.next(from: corpus)
            do throws(Violation) {
                if try parser.run(bytes) == .accepted {
                    accepted += 1
                    // What is still good after a change is worth changing again.
                    if !isSeed, corpus.count < seeds.count + 256 { corpus.append(bytes) }
                }
            } catch {
                return "\(error); the input, in base 64: \(Data(bytes).base64EncodedString().prefix(4000))"
            }
            executions += 1
            if isSeed { end = .now + .seconds(seconds) }
        }
        print("fuzzed \(parser.name): \(executions) executions, \(accepted) accepted")
        return nil
    }

    /// A prediction is a stranger's, too: whatever it holds becomes a line without control characters.
    @Test(arguments: [
        #""frame":"\u001b[2J","compute_ms":0"#, #""frame":"1","compute_ms":0,"latency_ms":1e300"#,
        #""frame":"1","compute_ms":0,"latency_ms":-1e18"#, #""frame":"1","compute_ms":0,"probabilities":[1e300]"#,
        #""frame":"1","compute_ms":0,"probabilities":[-1e17]"#,
    ])
    func anyPredictionCanBeWatched(members: String) throws {
        let json = #"{"sensor":"a\n","class":0,"label":"\u009b","branches":[],"missing":[],"# + members + "}"
        let prediction = try #require(Prediction(Array(json.utf8)))
        let line = WatchCommand.line(prediction, colours: false)
        #expect(line == Log.printable(line))
    }

    @Test func aCaptureTimeOfLongAgoIsNoOverflow() throws {
        var tracker = DemoTracker()
        let tensor = try Tensor(dtype: .uint8, shape: [2], bytes: [1, 2])
        let header = TensorMessageHeader(
            kind: .input, dtype: .uint8, shape: [2], session: 1, frame: 1, captureTime: .min)
        tracker.input(TensorMessage.encode(header, tensor))
        let json = #"{"sensor":"a","frame":"1","class":0,"label":"","branches":[],"missing":[],"compute_ms":0}"#
        tracker.prediction(Array(json.utf8), now: .now, wallClock: 1)
        #expect(tracker.predictions == 1)
    }
}
