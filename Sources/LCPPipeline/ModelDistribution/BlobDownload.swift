import LCPWire
import Platform

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
        bytes = []
        missing = (file.bytes + chunkBytes - 1) / chunkBytes
        has = [Bool](repeating: false, count: missing)
    }

    /// Why a file is not fetched: nil where it may be. A manifest may say anything, and nobody's memory is given away for that.
    ///
    /// - Parameter free: bytes of memory that programs can get; nil where nobody tells.
    static func refusal(_ file: ModelOffer.File, of offer: ModelOffer, free: Int?) -> PipelineError? {
        guard let free, file.bytes > free / 2 else { return nil }
        return PipelineError(
            .resources,
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

    /// The first piece that has not come.
    var firstMissing: Int? { has.firstIndex(of: false) }

    mutating func add(_ payload: UnsafeRawBufferPointer, chunk: Int) -> Outcome {
        guard has.indices.contains(chunk) else { return .damaged }
        let start = chunk * chunkBytes
        guard payload.count == min(chunkBytes, file.bytes - start) else { return .damaged }
        guard !has[chunk] else { return .incomplete }
        // Not before: a manifest may name any size, and one that nobody has pieces of costs nothing.
        if bytes.isEmpty { bytes = [UInt8](repeating: 0, count: file.bytes) }
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
