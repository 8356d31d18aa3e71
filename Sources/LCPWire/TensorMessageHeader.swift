public import Tensors

/// The header of a tensor message, kind `LCPT`: what a tensor on the wire is, and which frame it belongs to.
///
/// 128 bytes in version 1, 160 in version 2, little-endian; `Documentation/tensor-message.md` specifies every field. Identity
/// (session, frame, branch, model) stands here and not in MQTT properties, because MQTT 3.1.1 clients and bridges lose those.
public struct TensorMessageHeader: Sendable, Hashable {
    /// What the tensor is.
    public enum Kind: UInt8, Sendable, Hashable, CaseIterable {
        /// A sensor's frame.
        case input = 0
        /// The pre-final activations of a branch.
        case features = 1
        /// A branch's share of the logits, without the bias.
        case partialLogits = 2
    }

    /// How the elements stand in the data.
    public enum Encoding: UInt8, Sendable, Hashable, CaseIterable {
        /// One after the other, little-endian.
        case raw = 0
        /// A PNG file of the shape's height and width.
        case png = 1
        /// A JPEG file of the shape's height and width.
        case jpeg = 2
    }

    /// What only version 2 has.
    public struct Extension: Sendable, Hashable {
        public var encoding: Encoding
        /// What an integer stands for: the number is `scale` × the integer. More than 0 in features of INT8, 0 elsewhere.
        public var scale: Float
        /// Of an input: bit k says that branch k is wanted; 0 where all are.
        public var wantedBranches: UInt64
        /// When the input came to the worker, nanoseconds since 1970 UTC; 0 where unknown and in inputs.
        public var receiveTime: Int64
        /// When the message was handed to the connection, nanoseconds since 1970 UTC; 0 where unknown.
        public var sendTime: Int64
        /// How long the worker decoded the input, microseconds.
        public var decodeTime: UInt32
        /// How long the sender encoded the data, microseconds.
        public var encodeTime: UInt32

        public init(
            encoding: Encoding = .raw, scale: Float = 0, wantedBranches: UInt64 = 0, receiveTime: Int64 = 0,
            sendTime: Int64 = 0, decodeTime: UInt32 = 0, encodeTime: UInt32 = 0
        ) {
            self.encoding = encoding
            self.scale = scale
            self.wantedBranches = wantedBranches
            self.receiveTime = receiveTime
            self.sendTime = sendTime
            self.decodeTime = decodeTime
            self.encodeTime = encodeTime
        }
    }

    /// Bytes of a header by its version, from 1.
    static let sizes = [128, 160]
    /// Bytes of the shortest header.
    public static let minimumSize = sizes[0]
    /// The newest version that is read and written.
    public static let newestVersion = UInt8(sizes.count)

    public var kind: Kind
    public var dtype: DType
    public var shape: Shape
    /// Random at the sensor's start; 0 for a bare input.
    public var session: UInt64
    /// The frame's number, from 0 in a session; for a bare input the XXH64 of its bytes.
    public var frame: UInt64
    /// When the frame was captured: nanoseconds since 1970 UTC, 0 where unknown.
    public var captureTime: Int64
    /// The branch that made this tensor, from 0; 0 in inputs.
    public var branch: UInt16
    /// The branches of the model; 0 in inputs.
    public var branchCount: UInt16
    /// Time that the input waited in the worker, microseconds.
    public var queueTime: UInt32
    /// Time that the network ran, microseconds.
    public var computeTime: UInt32
    /// The model that made this tensor; zero in inputs.
    public var model: ModelHash
    /// The true class where it is known, −1 otherwise.
    public var label: Int32
    /// Nil makes it a message of version 1, which every role reads.
    public var version2: Extension?

    public init(
        kind: Kind, dtype: DType, shape: Shape, session: UInt64, frame: UInt64, captureTime: Int64 = 0,
        branch: UInt16 = 0, branchCount: UInt16 = 0, queueTime: UInt32 = 0, computeTime: UInt32 = 0,
        model: ModelHash = ModelHash(), label: Int32 = -1, version2: Extension? = nil
    ) {
        self.kind = kind
        self.dtype = dtype
        self.shape = shape
        self.session = session
        self.frame = frame
        self.captureTime = captureTime
        self.branch = branch
        self.branchCount = branchCount
        self.queueTime = queueTime
        self.computeTime = computeTime
        self.model = model
        self.label = label
        self.version2 = version2
    }

    public var version: UInt8 { version2 == nil ? 1 : 2 }
    /// Bytes of the header, where the data begins.
    public var size: Int { Self.sizes[Int(version) - 1] }
    public var encoding: Encoding { version2?.encoding ?? .raw }

    /// Bytes of the data where it is not encoded; nil where that is more than an address space.
    public var rawDataSize: Int? {
        guard let count = shape.elementCount, count <= Int.max / dtype.size else { return nil }
        return count * dtype.size
    }

    /// Whether an image of this kind holds the shape's elements: height × width, with one channel or three.
    var isPicture: Bool { dtype == .uint8 && (shape.rank == 2 || shape.rank == 3 && [1, 3].contains(shape[2])) }
}
