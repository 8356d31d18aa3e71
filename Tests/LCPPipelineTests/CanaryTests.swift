import LCPModels
import LCPWire
import Testing

@testable import LCPPipeline

@Suite struct CanaryTests {
    static let start = ContinuousClock.now

    static func offer(_ share: Double) throws -> CanaryOffer {
        CanaryOffer(share: share, offer: try ModelOffer(ModelBundle.find("lenet-split2"), chunkBytes: 4096))
    }

    @Test(
        "As many frames are tried as the share says, of every sensor, and always the same",
        arguments: [0.01, 0.05, 0.5, 1])
    func share(_ share: Double) throws {
        let canary = try Self.offer(share)
        for session: UInt64 in [0, 1, 0x9E37_79B9_7F4A_7C15, .max] {
            let taken = (UInt64(0)..<20_000).filter { canary.takes(session: session, frame: $0) }
            #expect(abs(Double(taken.count) / 20_000 - share) < 0.01)
            #expect(taken.allSatisfy { canary.takes(session: session, frame: $0) })
            // Not in runs: each part of the stream has its share.
            let half = taken.count { $0 < 10_000 }
            #expect(abs(Double(half) / 10_000 - share) < 0.02)
        }
    }

    @Test("An offer that was written is read again, and a share that is none is refused")
    func parsing() throws {
        let canary = try Self.offer(0.05)
        #expect(try CanaryOffer(canary.json) == canary && canary.percent == "5 %")
        #expect(try Self.offer(0.0025).percent == "0.25 %")
        for share in [0, -1, 1.5] {
            #expect(throws: PipelineError.self) { try CanaryOffer(CanaryOffer(share: share, offer: canary.offer).json) }
        }
        #expect(throws: PipelineError.self) { try CanaryOffer(canary.offer.json) }
    }

    static func join(_ share: Double = 1) throws -> CanaryJoin {
        CanaryJoin(
            try offer(share), try JoinedModel(ModelBundle.find("lenet-split2")), deadline: .seconds(1), now: start)
    }

    static func key(_ frame: UInt64) -> FrameKey { FrameKey(sensor: "cam", session: 7, frame: frame) }

    static func word(_ class: Int, _ confidence: Float = 0.5, isWhole: Bool = true) -> CanaryJoin.Word {
        .init(class: `class`, confidence: confidence, latency: 2_000_000, isWhole: isWhole)
    }

    @Test("What both models say of a frame is compared, whoever says it first")
    func compares() throws {
        let join = try Self.join()
        join.heard(Self.key(1), Self.word(3, 0.5), isTried: false)
        join.heard(Self.key(1), Self.word(3, 1), isTried: true)
        join.heard(Self.key(2), Self.word(4, 0), isTried: true)
        join.heard(Self.key(2), Self.word(5, 1), isTried: false)
        join.heard(Self.key(3), Self.word(5), isTried: false)
        join.heard(Self.key(4), Self.word(5, isWhole: false), isTried: false)
        join.heard(Self.key(4), Self.word(5), isTried: true)
        let counts = join.statistics(beside: "old")
        #expect(counts.frames == 2 && counts.agreed == 1 && counts.incomplete == 1)
        #expect(counts.present.confidence == 0.75 && counts.tried.confidence == 0.5)
        #expect(counts.present.name == "old" && counts.tried.name == "lenet-split2")
        #expect(counts.present.latencyP50.map { abs($0 - 2) < 0.1 } == true)
    }

    @Test("Frames outside the share are not compared, and those that one model never answers do not fill the memory")
    func bounded() throws {
        let join = try Self.join(0.5)
        for frame in UInt64(0)..<1000 {
            join.heard(Self.key(frame), Self.word(1), isTried: false)
            join.heard(Self.key(frame), Self.word(1), isTried: true)
        }
        let compared = join.statistics(beside: "").frames
        #expect((400...600).contains(compared) && join.statistics(beside: "").incomplete == 0)
        let silent = try Self.join()
        let many = UInt64(3 * CanaryJoin.maximumWaiting)
        for frame in 0..<many { silent.heard(Self.key(frame), Self.word(1), isTried: false) }
        #expect(silent.statistics(beside: "").incomplete == many - UInt64(CanaryJoin.maximumWaiting))
    }
}
