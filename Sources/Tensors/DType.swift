/// An element type of a tensor: the raw value is its number in a tensor message.
///
/// The names are the Open Inference Protocol's, the numbers are ours and never change meaning.
public enum DType: UInt8, Sendable, Hashable, CaseIterable {
    case bool = 1
    case uint8 = 2
    case uint16 = 3
    case uint32 = 4
    case uint64 = 5
    case int8 = 6
    case int16 = 7
    case int32 = 8
    case int64 = 9
    case fp16 = 10
    case fp32 = 11
    case fp64 = 12
    case bf16 = 13

    /// Bytes of one element.
    public var size: Int {
        switch self {
        case .bool, .uint8, .int8: 1
        case .uint16, .int16, .fp16, .bf16: 2
        case .uint32, .int32, .fp32: 4
        case .uint64, .int64, .fp64: 8
        }
    }

    /// The name in the Open Inference Protocol, for example `UINT8` or `FP32`.
    public var name: String {
        switch self {
        case .bool: "BOOL"
        case .uint8: "UINT8"
        case .uint16: "UINT16"
        case .uint32: "UINT32"
        case .uint64: "UINT64"
        case .int8: "INT8"
        case .int16: "INT16"
        case .int32: "INT32"
        case .int64: "INT64"
        case .fp16: "FP16"
        case .fp32: "FP32"
        case .fp64: "FP64"
        case .bf16: "BF16"
        }
    }

    /// The name in a safetensors header, for example `U8` or `F32`.
    public var safetensorsName: String {
        switch self {
        case .bool: "BOOL"
        case .uint8: "U8"
        case .uint16: "U16"
        case .uint32: "U32"
        case .uint64: "U64"
        case .int8: "I8"
        case .int16: "I16"
        case .int32: "I32"
        case .int64: "I64"
        case .fp16: "F16"
        case .fp32: "F32"
        case .fp64: "F64"
        case .bf16: "BF16"
        }
    }

    /// The type that a safetensors header calls `safetensorsName`, or nil where there is none.
    public init?(safetensorsName: String) {
        guard let match = Self.allCases.first(where: { $0.safetensorsName == safetensorsName }) else { return nil }
        self = match
    }
}
