import Tensors

extension IntegerBranch {
    /// The weights in single precision, as near as those of eight bits are.
    package var parameters: BranchParameters {
        layers.indices.map { index in
            layers[index].map { $0.parameters(input: values[index]) }
        }
    }
}

extension IntegerWeights {
    /// - Parameter input: what the layer reads.
    fileprivate func parameters(input: Quantization) -> LayerParameters {
        let length = weight.count / scale.count
        return LayerParameters(
            weight: weight.indices.map { Float(weight[$0]) * scale[$0 / length] },
            bias: bias.indices.map { Float(Double(bias[$0]) * Double(scale[$0]) * Double(input.scale)) })
    }

    /// Checks what arithmetic in 32 bits needs.
    ///
    /// - Parameter name: what an error calls the layer.
    fileprivate func check(_ name: String) throws(NetworkError) {
        guard !weight.contains(-128) else {
            throw NetworkError("its \(name).weight holds -128, and none is below -127")
        }
        guard scale.allSatisfy({ $0.isNormal && $0 > 0 }) else {
            throw NetworkError("its \(name).weight_scale holds a scale that is no normal number above 0")
        }
        let length = weight.count / scale.count
        for output in bias.indices {
            var most = abs(Int(bias[output]))
            for index in output * length..<(output + 1) * length { most += 255 * abs(Int(weight[index])) }
            guard most <= 1 << 30 else {
                throw NetworkError("its \(name) has sums of more than 30 bits, which a branch cannot compute")
            }
        }
    }
}

extension BranchedNetwork {
    /// A branch in numbers of eight bits as named tensors: `layers.I.weight` (I8), `layers.I.weight_scale` (F32) and
    /// `layers.I.bias` (I32) for every layer with weights, `layers.I.factors` (I16) and `layers.I.shift` (I32) for every
    /// response normalisation, `layers.I.table` (I8) for every function of a number, `values.scale` (F32) and `values.zero` (I8) for the input and every layer, and for a branch that
    /// sends partial logits `head.weight` and `head.weight_scale`.
    func entries(of branch: Int, _ integers: IntegerBranch) throws -> [SafetensorsFile.Entry] {
        var entries: [SafetensorsFile.Entry] = []
        func add<Number: BitwiseCopyable>(
            _ name: String, _ dtype: DType, _ dimensions: [Int], _ numbers: [Number]
        ) throws {
            guard let shape = Shape(dimensions) else { throw NetworkError("\(name) is too large") }
            let tensor = try Tensor(dtype: dtype, shape: shape, bytes: numbers.withUnsafeBytes { Array($0) })
            entries.append(.init(name: name, tensor: tensor))
        }
        for (index, (layer, shape)) in zip(branches[branch], try shapes(of: branch)).enumerated() {
            let name = "layers.\(index)"
            if let weights = integers.layers[index], let dimensions = layer.weightDimensions(input: shape) {
                try weights.check(name)
                try add("\(name).weight", .int8, dimensions, weights.weight)
                try add("\(name).weight_scale", .fp32, [dimensions[0]], weights.scale)
                try add("\(name).bias", .int32, [dimensions[0]], weights.bias)
            }
            if let lookup = integers.lookups[index] { try add("\(name).table", .int8, [256], lookup) }
            if let table = integers.tables[index] {
                try add("\(name).factors", .int16, [ResponseTable.count], table.factors)
                try add("\(name).shift", .int32, [1], [Int32(table.shift)])
            }
        }
        try add("values.scale", .fp32, [integers.values.count], integers.values.map(\.scale))
        try add("values.zero", .int8, [integers.values.count], integers.values.map(\.zero))
        if let head = integers.head {
            try head.check("head")
            try add("head.weight", .int8, [classes, try featureCount(of: branch)], head.weight)
            try add("head.weight_scale", .fp32, [classes], head.scale)
        }
        return entries
    }

    /// A branch in numbers of eight bits out of named tensors; every one must be there with its exact shape, and no other.
    func integerBranch(_ branch: Int, from file: Safetensors) throws -> IntegerBranch {
        var remaining = Set(file.tensors.keys)
        func read<Number: BitwiseCopyable>(
            _ name: String, _ dtype: DType, _ dimensions: [Int], as type: Number.Type
        ) throws -> [Number] {
            remaining.remove(name)
            guard let tensor = file.tensors[name] else { throw NetworkError("it lacks the tensor \(name)") }
            guard tensor.dtype == dtype, tensor.shape.dimensions == dimensions else {
                let expected = dimensions.map(String.init).joined(separator: "×")
                throw NetworkError(
                    "its \(name) is \(tensor.dtype.name) \(tensor.shape), the model needs \(dtype.name) \(expected)")
            }
            return tensor.bytes.withUnsafeBytes { bytes in
                (0..<bytes.count / dtype.size).map {
                    bytes.loadUnaligned(fromByteOffset: $0 * dtype.size, as: Number.self)
                }
            }
        }
        let layers = branches[branch]
        var result = IntegerBranch(layers: [], values: [], head: nil)
        for (index, (layer, shape)) in zip(layers, try shapes(of: branch)).enumerated() {
            let name = "layers.\(index)"
            if let dimensions = layer.weightDimensions(input: shape) {
                let weights = IntegerWeights(
                    weight: try read("\(name).weight", .int8, dimensions, as: Int8.self),
                    scale: try read("\(name).weight_scale", .fp32, [dimensions[0]], as: Float.self),
                    bias: try read("\(name).bias", .int32, [dimensions[0]], as: Int32.self))
                try weights.check(name)
                result.layers.append(weights)
            } else {
                result.layers.append(nil)
            }
            if case .activation = layer {
                result.lookups[index] = try read("\(name).table", .int8, [256], as: Int8.self)
            }
            if case .localResponseNormalization = layer {
                let factors = try read("\(name).factors", .int16, [ResponseTable.count], as: Int16.self)
                let shift = try read("\(name).shift", .int32, [1], as: Int32.self)[0]
                guard factors.allSatisfy({ $0 >= 0 }), (1...30).contains(shift) else {
                    throw NetworkError("its \(name) has factors below 0, or a shift that is not from 1 to 30")
                }
                result.tables[index] = ResponseTable(factors: factors, shift: Int(shift))
            }
        }
        let scales = try read("values.scale", .fp32, [layers.count + 1], as: Float.self)
        let zeros = try read("values.zero", .int8, [layers.count + 1], as: Int8.self)
        guard scales.allSatisfy({ $0.isNormal && $0 > 0 }) else {
            throw NetworkError("its values.scale holds a scale that is no normal number above 0")
        }
        result.values = zip(scales, zeros).map { Quantization(scale: $0, zero: $1) }
        if try output(of: branch) == .partialLogits {
            let head = IntegerWeights(
                weight: try read("head.weight", .int8, [classes, try featureCount(of: branch)], as: Int8.self),
                scale: try read("head.weight_scale", .fp32, [classes], as: Float.self),
                bias: Array(repeating: 0, count: classes))
            try head.check("head")
            result.head = head
        }
        if let extra = remaining.min() {
            throw NetworkError("it holds the tensor \(extra.quoted), which the model does not have")
        }
        return result
    }
}
