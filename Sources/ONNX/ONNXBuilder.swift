import FoundationEssentials
import SwiftProtobuf

/// Puts a graph together, node by node, and makes a file of it: operator set 17, format version 8.
public struct ONNXBuilder {
    /// Of ONNX's own operators; every runtime of the last years knows it.
    public static let operatorSet = 17
    /// The IR version.
    public static let formatVersion = 8

    /// An attribute's value.
    public enum Attribute {
        case int(Int)
        case float(Float)
        case ints([Int])
    }

    private var graph = ONNXGraphProto()

    /// - Parameter name: the graph's.
    public init(name: String) { graph.name = name }

    /// Adds an input or output of FP32, its batch, the first dimension, not fixed.
    ///
    /// - Parameter dimensions: those behind the batch.
    public mutating func addInput(_ name: String, _ dimensions: [Int], description: String) {
        graph.input.append(Self.value(name, dimensions, description))
    }

    /// Adds an output that a node of the same name makes: see ``addInput(_:_:description:)``.
    public mutating func addOutput(_ name: String, _ dimensions: [Int], description: String) {
        graph.output.append(Self.value(name, dimensions, description))
    }

    private static func value(_ name: String, _ dimensions: [Int], _ description: String) -> ONNXValueInfoProto {
        var value = ONNXValueInfoProto()
        value.name = name
        value.docString = description
        value.type.tensorType.elemType = Int32(ONNXTensorProto.DataType.float.rawValue)
        var batch = ONNXTensorShapeProto.Dimension()
        batch.dimParam = "N"
        value.type.tensorType.shape.dim = [batch]
        for dimension in dimensions {
            var fixed = ONNXTensorShapeProto.Dimension()
            fixed.dimValue = Int64(dimension)
            value.type.tensorType.shape.dim.append(fixed)
        }
        return value
    }

    /// Adds an FP32 tensor, row-major.
    ///
    /// - Returns: its name.
    @discardableResult
    public mutating func addTensor(_ name: String, _ values: [Float], _ dimensions: [Int]) -> String {
        add(name, .float, values.withUnsafeBytes { Data($0) }, dimensions)
    }

    /// Adds an INT64 tensor of one dimension, for example a shape.
    ///
    /// - Returns: its name.
    @discardableResult
    public mutating func addTensor(_ name: String, _ values: [Int]) -> String {
        add(name, .int64, values.map { Int64($0) }.withUnsafeBytes { Data($0) }, [values.count])
    }

    /// Adds a tensor of whole numbers of 8 bits, row-major.
    ///
    /// - Returns: its name.
    @discardableResult
    public mutating func addWholeNumbers(_ name: String, _ values: [Int8], _ dimensions: [Int]) -> String {
        add(name, .int8, values.withUnsafeBytes { Data($0) }, dimensions)
    }

    /// Adds a tensor of whole numbers of 32 bits, row-major.
    ///
    /// - Returns: its name.
    @discardableResult
    public mutating func addWholeNumbers(_ name: String, _ values: [Int32], _ dimensions: [Int]) -> String {
        add(name, .int32, values.withUnsafeBytes { Data($0) }, dimensions)
    }

    private mutating func add(
        _ name: String, _ type: ONNXTensorProto.DataType, _ bytes: Data, _ dimensions: [Int]
    ) -> String {
        var tensor = ONNXTensorProto()
        tensor.name = name
        tensor.dataType = Int32(type.rawValue)
        tensor.dims = dimensions.map { Int64($0) }
        tensor.rawData = bytes
        graph.initializer.append(tensor)
        return name
    }

    /// Adds a node with one output.
    ///
    /// - Returns: the output's name, which is the node's.
    @discardableResult
    public mutating func addNode(
        _ operation: String, _ name: String, _ inputs: [String], _ attributes: [(String, Attribute)] = []
    ) -> String {
        var node = ONNXNodeProto()
        node.opType = operation
        node.name = name
        node.input = inputs
        node.output = [name]
        for (key, value) in attributes {
            var attribute = ONNXAttributeProto()
            attribute.name = key
            switch value {
            case .int(let number):
                attribute.type = .int
                attribute.i = Int64(number)
            case .float(let number):
                attribute.type = .float
                attribute.f = number
            case .ints(let numbers):
                attribute.type = .ints
                attribute.ints = numbers.map { Int64($0) }
            }
            node.attribute.append(attribute)
        }
        graph.node.append(node)
        return name
    }

    /// The bytes of a file.
    ///
    /// - Throws: ``ONNXError`` where they would be more than the 2 GiB that a protobuf can have.
    public func encoded(
        producer: String, description: String, metadata: [(key: String, value: String)]
    ) throws(ONNXError) -> [UInt8] {
        guard graph.initializer.reduce(0, { $0 + $1.rawData.count }) < 1 << 31 - 1 << 24 else {
            throw ONNXError(
                "the model has more than the 2 GiB of weights that an ONNX file can hold: export more, narrower branches"
            )
        }
        var model = ONNXModelProto()
        model.irVersion = Int64(Self.formatVersion)
        model.producerName = producer
        model.docString = description
        var set = ONNXOperatorSetIdProto()
        set.version = Int64(Self.operatorSet)
        model.opsetImport = [set]
        model.metadataProps = metadata.map { key, value in
            var entry = ONNXStringStringEntryProto()
            (entry.key, entry.value) = (key, value)
            return entry
        }
        model.graph = graph
        do { return try model.serializedBytes() } catch {
            throw ONNXError("the model cannot be written as ONNX: \(error)")
        }
    }
}
