import Platform

/// Writes a safetensors file a piece at a time, so that no more than a piece of its tensors need be in memory.
package enum SafetensorsFile {
    /// A tensor whose elements come when they are written.
    package struct Entry {
        let name: String
        let dtype: DType
        let shape: Shape
        let write: (_ piece: (UnsafeRawBufferPointer) throws -> Void) throws -> Void

        /// A tensor that is in memory.
        package init(name: String, tensor: Tensor) {
            self.name = name
            dtype = tensor.dtype
            shape = tensor.shape
            write = { piece in try tensor.bytes.withUnsafeBytes(piece) }
        }

        /// An FP32 tensor.
        ///
        /// - Parameter write: gives all elements to its argument, in pieces, in their order.
        package init(
            name: String, shape: Shape,
            write: @escaping (_ piece: (UnsafeBufferPointer<Float>) throws -> Void) throws -> Void
        ) {
            self.init(name: name, dtype: .fp32, shape: shape) { piece in
                try write { try piece(UnsafeRawBufferPointer($0)) }
            }
        }

        init(
            name: String, dtype: DType, shape: Shape,
            write: @escaping (_ piece: (UnsafeRawBufferPointer) throws -> Void) throws -> Void
        ) {
            (self.name, self.dtype, self.shape, self.write) = (name, dtype, shape, write)
        }
    }

    /// Writes the file whole or not at all; its bytes are those of ``Safetensors/encoded()``.
    ///
    /// - Returns: the file's SHA-256 in hexadecimal.
    /// - Throws: ``FileError``, ``TensorError`` where the elements are not as many as the shape says, and what entries throw.
    package static func write(_ entries: [Entry], to path: String) throws -> String {
        let entries = entries.sorted { $0.name < $1.name }
        let sink = try FileSink(path)
        let digest = SHA256.Stream()
        func put(_ bytes: UnsafeRawBufferPointer) throws {
            digest.append(bytes)
            try sink.append(bytes)
        }
        try Safetensors.header(entries.map { ($0.name, $0.dtype, $0.shape) }, metadata: [:]).withUnsafeBytes(put)
        for entry in entries {
            var count = 0
            try entry.write { piece in
                count += piece.count
                try put(piece)
            }
            let expected = (entry.shape.elementCount ?? 0) * entry.dtype.size
            guard expected == count else { throw TensorError.sizeMismatch(expected: expected, found: count) }
        }
        try sink.commit()
        return digest.hex()
    }
}
