/// An ONNX file that cannot be read, used or written: one sentence with what, where, and what to do.
public struct ONNXError: Error, Hashable, CustomStringConvertible {
    public let description: String
    /// All reasons, where there are several; the sentence may have only the first ones.
    public let reasons: [String]

    public init(_ description: String, reasons: [String] = []) {
        self.description = description
        self.reasons = reasons
    }
}
