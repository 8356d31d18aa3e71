import Foundation
import LCPWire
import Platform
import Testing

@testable import LCPPipeline

@Suite final class KeptOffersTests {
    let folder = NSTemporaryDirectory() + "lcp-kept-\(UUID().uuidString)"
    private var kept: KeptOffers { KeptOffers(beside: ModelCache(path: "\(folder)/models")) }
    private let offer = OfferWatchTests.numbered(RolloutStand.offer("A", 1), 7)

    init() throws { try FileIO.makeFolder("\(folder)/models") }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    @Test("What a pipeline had is found again, and of no other pipeline or broker")
    func found() throws {
        #expect(kept.offer(broker: "mqtt://a", pipeline: "lcp/p") == nil)
        try kept.keep(offer, broker: "mqtt://a", pipeline: "lcp/p")
        #expect(kept.offer(broker: "mqtt://a", pipeline: "lcp/p") == offer)
        #expect(kept.offer(broker: "mqtt://b", pipeline: "lcp/p") == nil)
        #expect(kept.offer(broker: "mqtt://a", pipeline: "lcp/q") == nil)
    }

    @Test("What was damaged on disk counts as nothing", arguments: ["", "{", "[]", "{\"broker\":\"mqtt://a\"}"])
    func damaged(_ text: String) throws {
        try kept.keep(offer, broker: "mqtt://a", pipeline: "lcp/p")
        try FileIO.write(Array(text.utf8), to: kept.file(broker: "mqtt://a", pipeline: "lcp/p"))
        #expect(kept.offer(broker: "mqtt://a", pipeline: "lcp/p") == nil)
    }

    @Test("An offer on disk that says impossible things counts as none")
    func impossible() throws {
        var bad = offer
        bad.chunkBytes = 0
        try kept.keep(bad, broker: "mqtt://a", pipeline: "lcp/p")
        #expect(kept.offer(broker: "mqtt://a", pipeline: "lcp/p") == nil)
    }

    @Test("So many pipelines are remembered, and no more")
    func bounded() throws {
        for index in 0...KeptOffers.maximumPipelines { try kept.keep(offer, broker: "mqtt://a", pipeline: "p\(index)") }
        #expect(try FileIO.list(kept.path).count == KeptOffers.maximumPipelines)
    }
}
