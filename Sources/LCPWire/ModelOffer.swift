import FoundationEssentials

/// The model of a pipeline, as it is announced on `…/model/manifest`: what files it has, by the hash of their contents. The
/// contents lie on `…/model/blob/SHA256/CHUNK`.
public struct ModelOffer: Sendable, Hashable, Codable {
    public struct File: Sendable, Hashable, Codable {
        /// `model.json`, `branch-K.safetensors` or `merge.safetensors`.
        public var name: String
        /// Hexadecimal.
        public var sha256: String
        public var bytes: Int

        package init(name: String, sha256: String, bytes: Int) {
            (self.name, self.sha256, self.bytes) = (name, sha256, bytes)
        }
    }

    /// Who vouches for an offer.
    public struct Signature: Sendable, Hashable, Codable {
        /// The public key's text.
        public var key: String
        /// Ed25519 (RFC 8032), in base64.
        public var value: String

        package init(key: String, value: String) { (self.key, self.value) = (key, value) }
    }

    /// The version of this message; this program writes and reads 1.
    public static let formatVersion = 1
    /// The largest offer that is read.
    package static let maximumBytes = 64 << 10
    /// The largest model that is fetched.
    static let maximumModelBytes = 4 << 30
    /// The largest number of a push: those are whole numbers in JavaScript, too.
    package static let maximumNumber: UInt64 = 1 << 53
    /// The most branches of a model: each has a bit in the masks of the join.
    package static let maximumBranches = 64

    public var format: Int
    /// The bundle's name, for people.
    public var name: String
    /// The model's hash, in hexadecimal.
    public var model: String
    /// Every push of a pipeline has a higher one than those before: who hears of two takes that with the higher. Milliseconds since
    /// 1970 UTC, or one more than the last; nil, which counts as 0, in offers of older versions of lcp.
    public var givenNumber: UInt64?
    /// Bytes in a message of a file; the last one may have fewer.
    public var chunkBytes: Int
    /// `model.json` first.
    public var files: [File]
    /// Of ``signedBytes(root:)``; nil in offers that nobody signed, and in those of older versions of lcp.
    public var signature: Signature?

    enum CodingKeys: String, CodingKey {
        case format, name, model, files, signature
        case chunkBytes = "chunk_bytes"
        case givenNumber = "number"
    }

    package init(name: String, model: String, chunkBytes: Int, files: [File], number: UInt64? = nil) {
        format = Self.formatVersion
        givenNumber = number
        (self.name, self.model, self.chunkBytes, self.files) = (name, model, chunkBytes, files)
    }

    /// Reads an offer; everything that it says is checked.
    ///
    /// - Throws: ``PipelineError``, one sentence with the reason.
    public init(_ json: [UInt8]) throws(PipelineError) {
        guard json.count <= Self.maximumBytes else {
            throw PipelineError(.invalidMessage, "the model's manifest has \(json.count) bytes")
        }
        guard let offer = try? JSONDecoder().decode(ModelOffer.self, from: Data(json)) else {
            throw PipelineError(.invalidMessage, "the model's manifest is not the JSON of one")
        }
        guard offer.format == Self.formatVersion else {
            throw PipelineError(
                .invalidMessage,
                "the model's manifest has format \(offer.format), this program reads \(Self.formatVersion)")
        }
        func isHex(_ text: String, _ count: Int) -> Bool {
            text.utf8.count == count
                && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        }
        guard isHex(offer.model, 32), offer.name.utf8.count <= 256, (1024...(64 << 20)).contains(offer.chunkBytes),
            (3...Self.maximumBranches + 2).contains(offer.files.count), offer.files[0].name == "model.json",
            offer.files.last?.name == "merge.safetensors",
            offer.files.dropFirst().dropLast().enumerated().allSatisfy({ $1.name == "branch-\($0).safetensors" }),
            offer.files.allSatisfy({ isHex($0.sha256, 64) && $0.bytes > 0 && $0.bytes <= Self.maximumModelBytes }),
            offer.files.reduce(0, { $0 + $1.bytes }) <= Self.maximumModelBytes, offer.number <= Self.maximumNumber,
            (offer.signature.map { $0.key.utf8.count + $0.value.utf8.count } ?? 0) <= 256
        else { throw PipelineError(.invalidMessage, "the model's manifest says impossible things") }
        self = offer
    }

    /// Whether an offer is of a version that is yet to come, and not for this program to judge.
    package static func isNewer(_ json: [UInt8]) -> Bool {
        struct Version: Decodable { let format: Int }
        return (try? JSONDecoder().decode(Version.self, from: Data(json))).map { $0.format > formatVersion } ?? false
    }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }

    public var branchCount: Int { files.count - 2 }
    package var number: UInt64 { givenNumber ?? 0 }

    /// Whether this offer holds against another: that with the higher number does, and of two with the same that with the larger
    /// hash. Of two without a number nobody knows; the one that was heard last does.
    package func supersedes(_ other: ModelOffer) -> Bool {
        number != other.number ? number > other.number : number > 0 && model > other.model
    }

    /// Whether another offers the same, but for its number and who vouches for it.
    package func isSame(as other: ModelOffer) -> Bool {
        var numbered = other
        (numbered.givenNumber, numbered.signature) = (givenNumber, signature)
        return numbered == self
    }

    /// What a signature is of: lines of UTF-8 without a last line feed. The name is the last, for it may have lines itself.
    ///
    /// - Parameter root: the pipeline's prefix and name, `lcp/kitchen`: an offer is for one pipeline only.
    package func signedBytes(root: String) -> [UInt8] {
        var lines = ["lcp model offer", root, "\(number)", model, "\(chunkBytes)"]
        lines += files.map { "\($0.name) \($0.sha256) \($0.bytes)" }
        return Array((lines + [name]).joined(separator: "\n").utf8)
    }

    /// The number of the push that follows.
    ///
    /// - Parameters:
    ///   - last: what was pushed before; nil where nothing is known of it.
    ///   - milliseconds: now, since 1970 UTC.
    package static func number(after last: ModelOffer?, milliseconds: Int64) -> UInt64 {
        min(maximumNumber, max((last?.number ?? 0) + 1, UInt64(max(0, milliseconds))))
    }
    package var modelBytes: Int { files.reduce(0) { $0 + $1.bytes } }

    package func chunkCount(_ file: File) -> Int { (file.bytes + chunkBytes - 1) / chunkBytes }

    /// The files that a device with these branches needs: the description, the classification layer, and its branches; all of
    /// them where that is little, so that it can bring back what a restarted broker forgot.
    package func files(for branches: Set<Int>, all: Bool) -> [File] {
        files.enumerated().filter { index, _ in
            all || index == 0 || index == files.count - 1 || branches.contains(index - 1)
        }.map(\.element)
    }
}
