/// An ONNX file that cannot be read, used or written: one sentence with what, where, and what to do.
public struct ONNXError: Error, Hashable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
