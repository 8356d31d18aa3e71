import Foundation
import LCPModels
import LCPWire
import Testing

@testable import LCPPipeline

@Suite struct ModelCacheTests {
    /// Another pipeline's models do not push out one that is run.
    @Test func whatIsHeldStays() throws {
        let folder = NSTemporaryDirectory() + "lcp-cache-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let cache = ModelCache(path: folder)
        let bundle = try ModelBundle.find("lenet-split2")
        func offer(_ number: Int) throws -> ModelOffer {
            var offer = try ModelOffer(bundle, chunkBytes: 4096)
            offer.model = String(format: "%032x", number)
            return offer
        }
        var holds: [ModelCache.Hold] = []
        for number in 0..<12 {
            let offer = try offer(number)
            let file = try #require(offer.files.first)
            try cache.write(Array("{}".utf8), file, of: offer)
            // As if it had come long ago: the first are the oldest.
            let time = timespec(tv_sec: 1_000_000 + number, tv_nsec: 0)
            utimensat(AT_FDCWD, "\(cache.folder(offer))/model.json", [time, time], 0)
            if number == 1 { holds.append(try #require(cache.hold(offer))) }
        }
        cache.prune()
        let left = try FileManager.default.contentsOfDirectory(atPath: folder).map { Int($0, radix: 16) ?? -1 }.sorted()
        #expect(left == [1] + Array(4..<12))
        holds = []
        cache.prune()
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == ModelCache.maximumModels)
    }

    @Test("A model whose fetch did not get as far as its model.json is taken away before all others")
    func whatNeverWasAModelGoes() throws {
        let folder = NSTemporaryDirectory() + "lcp-cache-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let cache = ModelCache(path: folder)
        var offer = try ModelOffer(try ModelBundle.find("lenet-split2"), chunkBytes: 4096)
        for number in 0...ModelCache.maximumModels {
            offer.model = String(format: "%032x", number)
            // The one with the last name lacks it.
            let file = offer.files[number == ModelCache.maximumModels ? 1 : 0]
            try cache.write(Array("{}".utf8), file, of: offer)
        }
        cache.prune()
        let left = try FileManager.default.contentsOfDirectory(atPath: folder).map { Int($0, radix: 16) ?? -1 }.sorted()
        #expect(left == Array(0..<ModelCache.maximumModels))
    }
}
