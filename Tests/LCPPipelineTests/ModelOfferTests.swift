import LCPWire
import LCPModels
import Platform
import Testing

@testable import LCPPipeline

/// What a pipeline's manifest may say, and how its files come in pieces.
@Suite struct ModelOfferTests {
    static func refusal(_ change: (inout ModelOffer) -> Void) -> String? {
        var offer = RolloutStand.offer("A", 2)
        change(&offer)
        do throws(PipelineError) {
            return try ModelOffer(offer.json) == offer ? nil : "read otherwise"
        } catch {
            return error.description
        }
    }

    @Test("An offer may have as many branches as a network")
    func branchLimit() { #expect(ModelOffer.maximumBranches == BranchedNetwork.maximumBranches) }

    @Test("Files whose sizes no integer adds up are refused")
    func sizesThatOverflow() {
        let (model, file) = (String(repeating: "0a", count: 16), String(repeating: "9f", count: 32))
        let files = ["model.json", "branch-0.safetensors", "merge.safetensors"].map {
            #"{"name":"\#($0)","sha256":"\#(file)","bytes":\#(Int.max)}"#
        }
        let json =
            #"{"format":1,"name":"m","model":"\#(model)","chunk_bytes":4096,"files":[\#(files.joined(separator: ","))]}"#
        #expect(throws: PipelineError.self) { try ModelOffer(Array(json.utf8)) }
    }

    @Test("An offer is read as it was written")
    func roundTrip() { #expect(Self.refusal { _ in } == nil) }

    static let impossibilities: [(String, @Sendable (inout ModelOffer) -> Void)] = [
        ("a hash that is too short", { $0.model.removeLast() }),
        ("a hash in capitals", { $0.model = String(repeating: "A", count: 32) }),
        ("a hash with a path in it", { $0.model = "../" + $0.model.dropFirst(3) }),
        ("a long name", { $0.name = String(repeating: "n", count: 257) }),
        ("small pieces", { $0.chunkBytes = 1023 }),
        ("large pieces", { $0.chunkBytes = (64 << 20) + 1 }),
        ("no branches", { $0.files.removeSubrange(1...2) }),
        ("too many branches", { $0.files = RolloutStand.files(BranchedNetwork.maximumBranches + 1) }),
        ("no model.json", { $0.files[0].name = "branch-0.safetensors" }),
        ("no classification layer", { $0.files[3].name = "branch-2.safetensors" }),
        ("branches in another order", { $0.files.swapAt(1, 2) }),
        ("a file elsewhere", { $0.files[1].name = "../branch-0.safetensors" }),
        ("another file's hash", { $0.files[1].sha256.removeLast() }),
        ("a hash that is none", { $0.files[1].sha256 = String(repeating: "g", count: 64) }),
        ("an empty file", { $0.files[1].bytes = 0 }),
        ("a negative size", { $0.files[1].bytes = -1 }),
        ("a file too large", { $0.files[1].bytes = (4 << 30) + 1 }),
        ("files that are too large together", { ($0.files[1].bytes, $0.files[2].bytes) = (2 << 30, 2 << 30) }),
    ]

    @Test("An offer that says impossible things is refused", arguments: impossibilities.indices)
    func impossible(index: Int) {
        let (name, change) = Self.impossibilities[index]
        #expect(Self.refusal(change) == "the model's manifest says impossible things", "\(name)")
    }

    @Test("What is no offer, too long or of another version is refused with the reason")
    func noOffer() {
        func reason(_ json: [UInt8]) -> String? {
            do throws(PipelineError) { _ = try ModelOffer(json) } catch { return error.description }
            return nil
        }
        #expect(reason(Array("{}".utf8)) == "the model's manifest is not the JSON of one")
        let long = RolloutStand.offer("A", 1).json + [UInt8](repeating: 0x20, count: ModelOffer.maximumBytes)
        #expect(reason(long) == "the model's manifest has \(long.count) bytes")
        #expect(
            Self.refusal { $0.format = 2 } == "the model's manifest has format 2, this program reads 1")
    }

    @Test("A device fetches the description, the classification layer and its branches; all of a small model")
    func files() {
        let offer = RolloutStand.offer("A", 3)
        #expect(offer.branchCount == 3)
        #expect(
            offer.files(for: [1], all: false).map(\.name) == [
                "model.json", "branch-1.safetensors", "merge.safetensors",
            ])
        #expect(offer.files(for: [], all: false).map(\.name) == ["model.json", "merge.safetensors"])
        #expect(offer.files(for: [1], all: true) == offer.files)
    }

    @Test("A file that takes more than half of the free memory is not fetched")
    func memory() {
        var offer = RolloutStand.offer("A", 1)
        offer.files[1].bytes = 1000
        let file = offer.files[1]
        #expect(BlobDownload.refusal(file, of: offer, free: 2000) == nil)
        #expect(BlobDownload.refusal(file, of: offer, free: nil) == nil)
        let sentence = BlobDownload.refusal(file, of: offer, free: 1999)?.description
        #expect(sentence?.contains("branch-0.safetensors of A has 1000 bytes") == true)
    }

    // MARK: Pieces

    static let bytes = (0..<2500).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    static func download() -> BlobDownload {
        BlobDownload(
            .init(name: "branch-0.safetensors", sha256: SHA256.hex(bytes), bytes: bytes.count), chunkBytes: 1000)
    }

    static func piece(_ number: Int) -> [UInt8] { Array(bytes[1000 * number..<min(2500, 1000 * (number + 1))]) }

    @Test("Pieces are put together in whatever order they come")
    func anyOrder() {
        var download = Self.download()
        #expect(Self.piece(2).withUnsafeBytes { download.add($0, chunk: 2) } == .incomplete)
        #expect(Self.piece(0).withUnsafeBytes { download.add($0, chunk: 0) } == .incomplete)
        #expect(Self.piece(0).withUnsafeBytes { download.add($0, chunk: 0) } == .incomplete, "twice is once")
        #expect(Self.piece(1).withUnsafeBytes { download.add($0, chunk: 1) } == .complete(Self.bytes))
    }

    @Test("A piece of another size, or with another number, is damaged, and the rest is kept")
    func damagedPieces() {
        var download = Self.download()
        _ = Self.piece(0).withUnsafeBytes { download.add($0, chunk: 0) }
        for chunk in [-1, 3, Int.max] {
            #expect(Self.piece(1).withUnsafeBytes { download.add($0, chunk: chunk) } == .damaged)
        }
        #expect(Self.piece(2).withUnsafeBytes { download.add($0, chunk: 1) } == .damaged)
        #expect(Self.piece(1).withUnsafeBytes { download.add($0, chunk: 2) } == .damaged)
        #expect([UInt8]().withUnsafeBytes { download.add($0, chunk: 1) } == .damaged)
        _ = Self.piece(1).withUnsafeBytes { download.add($0, chunk: 1) }
        #expect(Self.piece(2).withUnsafeBytes { download.add($0, chunk: 2) } == .complete(Self.bytes))
    }

    @Test("A file whose pieces have other contents is damaged, and begins anew")
    func damagedFile() {
        var download = Self.download()
        var wrong = Self.piece(0)
        wrong[5] ^= 1
        _ = wrong.withUnsafeBytes { download.add($0, chunk: 0) }
        _ = Self.piece(1).withUnsafeBytes { download.add($0, chunk: 1) }
        #expect(Self.piece(2).withUnsafeBytes { download.add($0, chunk: 2) } == .damaged)
        _ = Self.piece(2).withUnsafeBytes { download.add($0, chunk: 2) }
        _ = Self.piece(1).withUnsafeBytes { download.add($0, chunk: 1) }
        #expect(Self.piece(0).withUnsafeBytes { download.add($0, chunk: 0) } == .complete(Self.bytes))
    }
}
