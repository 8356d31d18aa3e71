import FoundationEssentials
import LCPModels
import Tensors

/// The model of a pipeline, as it is announced on `…/model/manifest`: what files it has, by the hash of their contents. The
/// contents lie on `…/model/blob/SHA256/CHUNK`.
public struct ModelOffer: Sendable, Hashable, Codable {
    public struct File: Sendable, Hashable, Codable {
        /// `model.json`, `branch-K.safetensors` or `merge.safetensors`.
        public var name: String
        /// Hexadecimal.
        public var sha256: String
        public var bytes: Int
    }

    /// The version of this message; this program writes and reads 1.
    public static let formatVersion = 1
    /// The largest offer that is read.
    static let maximumBytes = 64 << 10
    /// The largest model that is fetched.
    static let maximumModelBytes = 4 << 30

    public var format: Int
    /// The bundle's name, for people.
    public var name: String
    /// The model's hash, in hexadecimal.
    public var model: String
    /// Bytes in a message of a file; the last one may have fewer.
    public var chunkBytes: Int
    /// `model.json` first.
    public var files: [File]

    enum CodingKeys: String, CodingKey {
        case format, name, model, files
        case chunkBytes = "chunk_bytes"
    }

    /// Describes a bundle.
    ///
    /// - Throws: ``ModelBundleError`` or ``PipelineError`` where a file cannot be read.
    init(_ bundle: ModelBundle, chunkBytes: Int) throws {
        format = Self.formatVersion
        name = bundle.manifest.name
        model = bundle.hash.description
        self.chunkBytes = chunkBytes
        files = []
        for name in ["model.json"] + bundle.manifest.files.map(\.name) {
            let bytes = try FileIO.read("\(bundle.path)/\(name)")
            files.append(File(name: name, sha256: SHA256.hex(bytes), bytes: bytes.count))
        }
    }

    /// Reads an offer; everything that it says is checked.
    ///
    /// - Throws: ``PipelineError``, one sentence with the reason.
    public init(_ json: [UInt8]) throws(PipelineError) {
        guard json.count <= Self.maximumBytes else {
            throw PipelineError("the model's manifest has \(json.count) bytes")
        }
        guard let offer = try? JSONDecoder().decode(ModelOffer.self, from: Data(json)) else {
            throw PipelineError("the model's manifest is not the JSON of one")
        }
        guard offer.format == Self.formatVersion else {
            throw PipelineError(
                "the model's manifest has format \(offer.format), this program reads \(Self.formatVersion)")
        }
        func isHex(_ text: String, _ count: Int) -> Bool {
            text.utf8.count == count
                && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        }
        guard isHex(offer.model, 32), offer.name.utf8.count <= 256, (1024...(64 << 20)).contains(offer.chunkBytes),
            (3...BranchedNetwork.maximumBranches + 2).contains(offer.files.count), offer.files[0].name == "model.json",
            offer.files.last?.name == "merge.safetensors",
            offer.files.dropFirst().dropLast().enumerated().allSatisfy({ $1.name == "branch-\($0).safetensors" }),
            offer.files.allSatisfy({ isHex($0.sha256, 64) && $0.bytes > 0 && $0.bytes <= Self.maximumModelBytes }),
            offer.files.reduce(0, { $0 + $1.bytes }) <= Self.maximumModelBytes
        else { throw PipelineError("the model's manifest says impossible things") }
        self = offer
    }

    /// Whether an offer is of a version that is yet to come, and not for this program to judge.
    static func isNewer(_ json: [UInt8]) -> Bool {
        struct Version: Decodable { let format: Int }
        return (try? JSONDecoder().decode(Version.self, from: Data(json))).map { $0.format > formatVersion } ?? false
    }

    var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }

    public var branchCount: Int { files.count - 2 }
    var modelBytes: Int { files.reduce(0) { $0 + $1.bytes } }

    func chunkCount(_ file: File) -> Int { (file.bytes + chunkBytes - 1) / chunkBytes }

    /// The files that a device with these branches needs: the description, the classification layer, and its branches; all of
    /// them where that is little, so that it can bring back what a restarted broker forgot.
    func files(for branches: Set<Int>, all: Bool) -> [File] {
        files.enumerated().filter { index, _ in
            all || index == 0 || index == files.count - 1 || branches.contains(index - 1)
        }.map(\.element)
    }
}

/// A file that comes in pieces, in any order, put together and verified: pure.
struct BlobDownload {
    let file: ModelOffer.File
    private let chunkBytes: Int
    private var bytes: [UInt8]
    private var has: [Bool]
    private var missing: Int

    init(_ file: ModelOffer.File, chunkBytes: Int) {
        self.file = file
        self.chunkBytes = chunkBytes
        bytes = [UInt8](repeating: 0, count: file.bytes)
        missing = (file.bytes + chunkBytes - 1) / chunkBytes
        has = [Bool](repeating: false, count: missing)
    }

    /// Why a file is not fetched: nil where it may be. A manifest may say anything, and nobody's memory is given away for that.
    ///
    /// - Parameter free: bytes of memory that programs can get; nil where nobody tells.
    static func refusal(_ file: ModelOffer.File, of offer: ModelOffer, free: Int?) -> PipelineError? {
        guard let free, file.bytes > free / 2 else { return nil }
        return PipelineError(
            "\(file.name) of \(offer.name) has \(file.bytes) bytes, and this machine has \(free) bytes of memory free: split the model into more branches"
        )
    }

    enum Outcome: Equatable {
        case incomplete
        /// Verified.
        case complete([UInt8])
        /// The piece does not fit, or all pieces together are not the file.
        case damaged
    }

    mutating func add(_ payload: UnsafeRawBufferPointer, chunk: Int) -> Outcome {
        guard has.indices.contains(chunk) else { return .damaged }
        let start = chunk * chunkBytes
        guard payload.count == min(chunkBytes, file.bytes - start) else { return .damaged }
        guard !has[chunk] else { return .incomplete }
        bytes.withUnsafeMutableBytes {
            $0.baseAddress!.advanced(by: start).copyMemory(from: payload.baseAddress!, byteCount: payload.count)
        }
        has[chunk] = true
        missing -= 1
        guard missing == 0 else { return .incomplete }
        guard SHA256.hex(bytes) == file.sha256 else {
            // Begin anew: a piece of another file may have come in between.
            self = BlobDownload(file, chunkBytes: chunkBytes)
            return .damaged
        }
        return .complete(bytes)
    }
}
