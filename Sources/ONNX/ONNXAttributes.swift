import Platform

/// The attributes of a node, by name and type.
public struct ONNXAttributes {
    private let values: [String: ONNXAttributeProto]

    /// - Parameter known: the names that the node's operator may have.
    /// - Throws: ``ONNXError`` for any other, because it may change the meaning: the rest of a sentence that begins with the node.
    public init(_ node: ONNXNodeProto, known: Set<String>) throws(ONNXError) {
        var values: [String: ONNXAttributeProto] = [:]
        for attribute in node.attribute {
            guard known.contains(attribute.name) else {
                throw ONNXError("has the attribute \(attribute.name.quoted), which is not known")
            }
            values[attribute.name] = attribute
        }
        self.values = values
    }

    /// Whether there is one of this name.
    public func has(_ name: String) -> Bool { values[name] != nil }

    /// A whole number, or what stands for one that is not there.
    public func int(_ name: String, _ missing: Int) -> Int { values[name].map { Int($0.i) } ?? missing }

    /// A number, or what stands for one that is not there.
    public func float(_ name: String, _ missing: Float) -> Float { values[name]?.f ?? missing }

    /// Whole numbers, for example of a kernel's shape; nil where there are none.
    public func ints(_ name: String) -> [Int]? { values[name].map { $0.ints.map { Int($0) } } }

    /// Numbers; nil where there are none.
    public func floats(_ name: String) -> [Float]? { values[name]?.floats }

    /// A word, or what stands for one that is not there.
    public func string(_ name: String, _ missing: String) -> String {
        values[name].map { String(decoding: $0.s, as: UTF8.self) } ?? missing
    }

    /// A tensor, to be read by ``ONNXModel/tensor(_:)``; nil where there is none.
    public func tensor(_ name: String) -> ONNXTensorProto? { values[name].flatMap { $0.hasT ? $0.t : nil } }
}
