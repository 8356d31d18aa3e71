import ONNX

extension GraphImporter {
    /// How an operator is read, and the attributes that it may have.
    struct Reader: Sendable {
        let attributes: Set<String>
        let read: @Sendable (inout GraphImporter, ONNXNodeProto, ONNXAttributes) throws -> Value

        init(
            _ attributes: Set<String> = [],
            _ read: @escaping @Sendable (inout GraphImporter, ONNXNodeProto, ONNXAttributes) throws -> Value
        ) {
            self.attributes = attributes
            self.read = read
        }
    }

    private static let window: Set<String> = ["auto_pad", "dilations", "kernel_shape", "pads", "strides"]

    /// Every operator that can be in a network.
    static let operators: [String: Reader] = [
        // Layers.
        "Conv": Reader(window.union(["group"])) { try $0.convolution($1, $2) },
        "MaxPool": Reader(window.union(["ceil_mode", "storage_order"])) { try $0.maxPool($1, $2) },
        "AveragePool": Reader(window.union(["ceil_mode", "count_include_pad"])) { try $0.averagePool($1, $2) },
        "GlobalAveragePool": Reader { importer, node, _ in try importer.globalAveragePool(node, isFlat: false) },
        "GlobalMaxPool": Reader { importer, node, _ in try importer.globalMaxPool(node) },
        "ReduceMean": Reader(["axes", "keepdims", "noop_with_empty_axes"]) { try $0.reduceMean($1, $2) },
        "BatchNormalization": Reader(["epsilon", "momentum", "spatial", "training_mode"]) {
            try $0.batchNormalization($1, $2)
        },
        "LayerNormalization": Reader(["axis", "epsilon", "stash_type"]) { try $0.layerNormalization($1, $2) },
        "LRN": Reader(["alpha", "beta", "bias", "size"]) { try $0.responseNormalization($1, $2) },
        "Gemm": Reader(["alpha", "beta", "transA", "transB"]) { try $0.gemm($1, $2) },
        "MatMul": Reader { importer, node, _ in try importer.matMul(node) },
        "Relu": Reader { importer, node, _ in
            .feature(try importer.append(.relu, on: importer.feature(node, inAnyOrder: true, inRows: true)))
        },
        "Clip": Reader(["min", "max"]) { try $0.clip($1, $2) },
        "Dropout": Reader(["ratio", "seed"]) { try $0.dropout($1, $2) },
        "Softmax": Reader(["axis"]) { try $0.softmax($1, $2) },
        "Sigmoid": Reader { importer, node, _ in try importer.sigmoid(node) },
        "LogSoftmax": Reader(["axis"]) { try $0.logSoftmax($1, $2) },
        "Sum": Reader { importer, node, _ in try importer.sum(node) },
        "Concat": Reader(["axis"]) { try $0.concatenate($1, $2) },
        "PRelu": Reader { importer, node, _ in try importer.prelu(node) },
        "Tanh": Reader { importer, node, _ in try importer.function(node, .tanh) },
        "Erf": Reader { importer, node, _ in try importer.function(node, .erf) },
        "Exp": Reader { importer, node, _ in try importer.function(node, .exp) },
        "Neg": Reader { importer, node, _ in try importer.function(node, .negative) },
        "Abs": Reader { importer, node, _ in try importer.function(node, .absolute) },
        "Sqrt": Reader { importer, node, _ in try importer.function(node, .root) },
        "Softplus": Reader { importer, node, _ in try importer.function(node, .softplus) },
        "HardSwish": Reader { importer, node, _ in try importer.function(node, .hardSwish) },
        "HardSigmoid": Reader(["alpha", "beta"]) { importer, node, attributes in
            let constants = (attributes.float("alpha", 0.2), attributes.float("beta", 0.5))
            return try importer.function(node, .hardSigmoid(Double(constants.0), Double(constants.1)))
        },
        "LeakyRelu": Reader(["alpha"]) { importer, node, attributes in
            try importer.function(node, .leaky(Double(attributes.float("alpha", 0.01))))
        },
        "Elu": Reader(["alpha"]) { importer, node, attributes in
            try importer.function(node, .elu(Double(attributes.float("alpha", 1))))
        },
        "Gelu": Reader(["approximate"]) { importer, node, attributes in
            try importer.function(node, .gelu(isTanh: attributes.string("approximate", "none") == "tanh"))
        },
        // Arithmetic.
        "Add": Reader { importer, node, _ in try importer.combine(node, .sum) },
        "Sub": Reader { importer, node, _ in try importer.combine(node, .difference) },
        "Mul": Reader { importer, node, _ in try importer.combine(node, .product) },
        "Div": Reader { importer, node, _ in try importer.combine(node, .quotient) },
        "Pow": Reader { importer, node, _ in try importer.combine(node, .power) },
        "Min": Reader { importer, node, _ in try importer.combine(node, .least) },
        "Max": Reader { importer, node, _ in try importer.combine(node, .most) },
        // Shapes.
        "Pad": Reader(["mode", "pads", "value"]) { try $0.pad($1, $2) },
        "Flatten": Reader(["axis"]) { try $0.flatten($1, $2) },
        "Reshape": Reader(["allowzero"]) { try $0.reshape($1, $2) },
        "Squeeze": Reader(["axes"]) { try $0.squeeze($1, $2) },
        "Unsqueeze": Reader(["axes"]) { try $0.unsqueeze($1, $2) },
        "Transpose": Reader(["perm"]) { try $0.transpose($1, $2) },
        "Split": Reader(["axis", "num_outputs", "split"]) { try $0.split($1, $2) },
        "Slice": Reader(["axes", "ends", "starts"]) { try $0.slice($1, $2) },
        "Shape": Reader(["start", "end"]) { try $0.shape($1, $2) },
        "Gather": Reader(["axis"]) { try $0.gather($1, $2) },
        // Names of other values.
        "Identity": Reader { importer, node, _ in try importer.value(node, 0) },
        "Cast": Reader(["to", "saturate", "round_mode"]) { try $0.cast($1, $2) },
        "Constant": Reader(["value", "value_float", "value_floats", "value_int", "value_ints"]) {
            try $0.constant($1, $2)
        },
        // scikit-learn.
        "ai.onnx.ml.Scaler": Reader(["offset", "scale"]) { try $0.scaler($1, $2) },
        "ai.onnx.ml.LinearClassifier": Reader([
            "classlabels_ints", "classlabels_strings", "coefficients", "intercepts", "multi_class", "post_transform",
        ]) { try $0.linearClassifier($1, $2) },
        "ai.onnx.ml.Normalizer": Reader(["norm"]) { try $0.normalizer($1, $2) },
    ]

    /// The operators for people.
    static let operatorList = operators.keys.sorted().joined(separator: ", ")
}
