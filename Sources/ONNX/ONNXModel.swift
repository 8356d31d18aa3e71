import FoundationEssentials
import Glibc
import Platform
import SwiftProtobuf

/// An ONNX file that was opened: its graph in memory, its weights still in the file and read when they are asked for.
public final class ONNXModel {
    /// The operator sets whose meaning is known here, those of the domain `ai.onnx`.
    public static let operatorSets = 7...28
    /// The versions of the file format that are known here.
    public static let formatVersions = 3...14

    /// What errors call the file.
    public let name: String
    /// The model. Its tensors' `raw_data` is not theirs: ask ``tensor(_:)`` for elements.
    public let proto: ONNXModelProto
    /// The version of the operator set.
    public let operatorSet: Int

    private let source: ByteSource
    private let payloads: [Range<Int>]
    /// Where files with external data lie; nil forbids them.
    private let folder: String?
    private var externalFiles: [String: ByteSource] = [:]

    /// Opens a file.
    ///
    /// - Throws: ``ONNXError``, one sentence with the path, the reason and what to do.
    public convenience init(path: String) throws(ONNXError) {
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        try self.init(try ByteSource(path: path), folder: folder)
    }

    /// Reads a model in memory, which cannot have external data.
    ///
    /// - Parameter name: what errors call it.
    public convenience init(decoding bytes: [UInt8], name: String) throws(ONNXError) {
        try self.init(ByteSource(bytes, name: name), folder: nil)
    }

    private init(_ source: ByteSource, folder: String?) throws(ONNXError) {
        self.source = source
        self.folder = folder
        name = source.name
        guard source.count > 0 else { throw ONNXError("\(source.name) is empty: export or copy it again") }
        var scanner = WireScanner(source)
        do {
            let bytes = try scanner.scan()
            var options = BinaryDecodingOptions()
            options.discardUnknownFields = true
            do { proto = try ONNXModelProto(serializedBytes: bytes, options: options) } catch {
                throw ONNXError("is no ONNX model, or is damaged: export or copy it again")
            }
        } catch {
            throw ONNXError("\(source.name) \(error)")
        }
        payloads = scanner.payloads
        guard proto.hasGraph, !proto.graph.node.isEmpty, !proto.opsetImport.isEmpty else {
            throw ONNXError(
                "\(name) is no ONNX model, or is cut short: it has no graph with nodes; export or copy it again")
        }
        guard Self.formatVersions.contains(Int(proto.irVersion)) else {
            throw ONNXError(
                "\(name) has the format (IR) version \(proto.irVersion), and \(Self.formatVersions.lowerBound) to "
                    + "\(Self.formatVersions.upperBound) are known: export it with another version")
        }
        guard let set = proto.opsetImport.first(where: { Self.isStandard($0.domain) }),
            Self.operatorSets.contains(Int(set.version))
        else {
            let version = proto.opsetImport.first { Self.isStandard($0.domain) }.map { "\($0.version)" } ?? "no version"
            throw ONNXError(
                "\(name) needs \(version) of ONNX's operator set, and \(Self.operatorSets.lowerBound) to "
                    + "\(Self.operatorSets.upperBound) are known: export it for one of those, for example 17")
        }
        operatorSet = Int(set.version)
    }

    /// Whether a domain is ONNX's own.
    public static func isStandard(_ domain: String) -> Bool { domain.isEmpty || domain == "ai.onnx" }

    /// A tensor of ``proto``, checked: its elements are exactly as many as its dimensions say.
    ///
    /// - Throws: ``ONNXError``.
    public func tensor(_ tensor: ONNXTensorProto) throws(ONNXError) -> ONNXTensor {
        let title = "\(name): the tensor \(tensor.name.quoted)"
        var count = 1
        for dimension in tensor.dims {
            let (product, overflows) = count.multipliedReportingOverflow(by: Int(dimension))
            guard dimension >= 0, !overflows, product <= 1 << 40, tensor.dims.count <= 8 else {
                throw ONNXError("\(title) has impossible dimensions")
            }
            count = product
        }
        let type = ONNXTensorProto.DataType(rawValue: Int(tensor.dataType)) ?? .undefined
        guard type.size > 0 else {
            throw ONNXError(
                "\(title) is of the type \(tensor.dataType), which is not known: export it with FP32 weights")
        }
        let (source, range) = try elements(tensor, type, title)
        guard range.count == count * type.size else {
            throw ONNXError(
                "\(title) has \(range.count) bytes, and its dimensions say \(count * type.size): the file is damaged, export or "
                    + "copy it again")
        }
        return ONNXTensor(
            name: tensor.name, dimensions: tensor.dims.map { Int($0) }, type: type, count: count, source: source,
            offset: range.lowerBound)
    }

    private func elements(
        _ tensor: ONNXTensorProto, _ type: ONNXTensorProto.DataType, _ title: String
    ) throws(ONNXError) -> (ByteSource, Range<Int>) {
        if tensor.dataLocation == .external { return try externalElements(tensor, title) }
        let payload = tensor.rawData.reduce((UInt64(0), UInt64(0))) { ($0.0 | UInt64($1) << $0.1, $0.1 + 8) }.0
        let typed: [UInt8] =
            switch type {
            case .float: Self.bytes(tensor.floatData)
            case .double: Self.bytes(tensor.doubleData)
            case .int64: Self.bytes(tensor.int64Data)
            case .uint64: Self.bytes(tensor.uint64Data)
            case .uint32: Self.bytes(tensor.uint64Data.map(UInt32.init(truncatingIfNeeded:)))
            case .int32: Self.bytes(tensor.int32Data)
            case .float16, .bfloat16, .uint16, .int16:
                Self.bytes(tensor.int32Data.map(UInt16.init(truncatingIfNeeded:)))
            default: Self.bytes(tensor.int32Data.map(UInt8.init(truncatingIfNeeded:)))
            }
        guard !tensor.rawData.isEmpty else { return (ByteSource(typed, name: name), 0..<typed.count) }
        guard typed.isEmpty, payloads.indices.contains(Int(payload)) else {
            throw ONNXError("\(title) has its elements twice: the file is damaged, export it again")
        }
        return (source, payloads[Int(payload)])
    }

    private static func bytes(_ values: [some Any]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }

    /// Elements in a file beside the model, which must lie in the model's folder or below it.
    private func externalElements(
        _ tensor: ONNXTensorProto, _ title: String
    ) throws(ONNXError) -> (ByteSource, Range<Int>) {
        func value(_ key: String) -> String? { tensor.externalData.last { $0.key == key }?.value }
        guard let location = value("location"), !location.isEmpty else {
            throw ONNXError("\(title) is said to lie in another file, and the file has no name: export it again")
        }
        let file = try externalFile(location, title)
        let offset = value("offset").map { Int($0) } ?? 0
        guard let offset, offset >= 0, offset <= file.count else {
            throw ONNXError("\(title) begins outside \(location.quoted): copy both files again")
        }
        let length = value("length").map { Int($0) } ?? file.count - offset
        guard let length, length >= 0, length <= file.count - offset else {
            throw ONNXError("\(title) ends outside \(location.quoted), which may be cut short: copy both files again")
        }
        return (file, offset..<offset + length)
    }

    private func externalFile(_ location: String, _ title: String) throws(ONNXError) -> ByteSource {
        if let open = externalFiles[location] { return open }
        guard let folder, let root = Self.realPath(folder) else {
            throw ONNXError("\(title) lies in another file, which a model in memory cannot have")
        }
        guard !location.hasPrefix("/"), !location.split(separator: "/").contains(".."), !location.utf8.contains(0)
        else {
            throw ONNXError("\(title) lies in \(location.quoted), outside the model's folder, where nothing is read")
        }
        guard let path = Self.realPath("\(folder)/\(location)") else {
            throw ONNXError(
                "\(title) lies in \(location.quoted), which is not there: copy it beside the model")
        }
        guard path.hasPrefix(root.hasSuffix("/") ? root : root + "/") else {
            throw ONNXError("\(title) lies in \(location.quoted), outside the model's folder, where nothing is read")
        }
        let file = try ByteSource(path: path)
        externalFiles[location] = file
        return file
    }

    private static func realPath(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }
}
