import Tensors

/// What can be wrong with a tensor message. The raw values are the names of the counters.
public enum TensorMessageError: String, Error, Hashable, CaseIterable, CustomStringConvertible {
    case tooShort = "too_short"
    case badMagic = "bad_magic"
    case unknownVersion = "unknown_version"
    case badHeaderLength = "bad_header_length"
    case headerChecksum = "header_checksum"
    case unknownKind = "unknown_kind"
    case unknownType = "unknown_type"
    case badRank = "bad_rank"
    case unknownFlags = "unknown_flags"
    case reservedNotZero = "reserved_not_zero"
    case badDimension = "bad_dimension"
    case tooLarge = "too_large"
    case sizeOverflow = "size_overflow"
    case shapeMismatch = "shape_mismatch"
    case lengthMismatch = "length_mismatch"
    case dataChecksum = "data_checksum"
    case badBranch = "bad_branch"
    case unknownEncoding = "unknown_encoding"
    case badEncoding = "bad_encoding"
    case badScale = "bad_scale"

    public var description: String {
        switch self {
        case .tooShort: "a tensor message has at least \(TensorMessageHeader.minimumSize) bytes"
        case .badMagic: "the message does not start with LCPT"
        case .unknownVersion: "the tensor message is of a version that this program does not know"
        case .badHeaderLength: "the header length is not that of the message's version"
        case .headerChecksum: "the header's checksum does not match: the message was damaged"
        case .unknownKind: "the kind is none of input, features, partial logits"
        case .unknownType: "the element type has no meaning"
        case .badRank: "a tensor has at most \(Shape.maximumRank) dimensions"
        case .unknownFlags: "flags are set that have no meaning"
        case .reservedNotZero: "reserved bytes are not zero"
        case .badDimension: "a dimension is zero, or an unused one is not"
        case .tooLarge: "the message holds more data than is taken here"
        case .sizeOverflow: "the dimensions multiply to more than an address space"
        case .shapeMismatch: "the data bytes are not those of the shape"
        case .lengthMismatch: "the message is longer or shorter than its header says"
        case .dataChecksum: "the data's checksum does not match: the message was damaged"
        case .badBranch: "the branch index is not below the branch count"
        case .unknownEncoding: "the encoding is none of raw, PNG, JPEG"
        case .badEncoding: "only inputs of UINT8 with one or three channels can be pictures"
        case .badScale:
            "the scale is not that of integers, which is more than 0, or is none where there is nothing to scale"
        }
    }
}
