extension Layer: Codable {
    private enum Key: String, CodingKey {
        case type, outputs, kernel, stride, padding, groups, bias, size, epsilon, alpha, beta, k, rate, layer, layers,
            slope
    }
    private enum Kind: String, Codable {
        case convolution
        case depthwiseConvolution = "depthwise_convolution"
        case maxPool = "max_pool"
        case averagePool = "average_pool"
        case globalAveragePool = "global_average_pool"
        case batchNormalization = "batch_normalization"
        case localResponseNormalization = "local_response_normalization"
        case fullyConnected = "fully_connected"
        case relu, relu6, prelu, dropout, softmax
        case sigmoid, tanh, silu, elu, gelu
        case hardSigmoid = "hard_sigmoid"
        case hardSwish = "hard_swish"
        case leakyReLU = "leaky_relu"
        case geluTanh = "gelu_tanh"
        case output, add, multiply, concatenate
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        func int(_ key: Key, _ missing: Int? = nil) throws -> Int {
            if let missing { return try values.decodeIfPresent(Int.self, forKey: key) ?? missing }
            return try values.decode(Int.self, forKey: key)
        }
        func float(_ key: Key) throws -> Float { try values.decode(Float.self, forKey: key) }
        let hasBias = try values.decodeIfPresent(Bool.self, forKey: .bias) ?? true
        switch try values.decode(Kind.self, forKey: .type) {
        case .convolution:
            self = .convolution(
                outputs: try int(.outputs), kernel: try int(.kernel), stride: try int(.stride, 1),
                padding: try int(.padding, 0), groups: try int(.groups, 1), hasBias: hasBias)
        case .depthwiseConvolution:
            self = .depthwiseConvolution(
                kernel: try int(.kernel), stride: try int(.stride, 1), padding: try int(.padding, 0), hasBias: hasBias)
        case .maxPool:
            self = .maxPool(size: try int(.size), stride: try int(.stride), padding: try int(.padding, 0))
        case .averagePool: self = .averagePool(size: try int(.size), stride: try int(.stride))
        case .globalAveragePool: self = .globalAveragePool
        case .batchNormalization: self = .batchNormalization(epsilon: try float(.epsilon))
        case .localResponseNormalization:
            self = .localResponseNormalization(
                size: try int(.size), alpha: try float(.alpha), beta: try float(.beta), k: try float(.k))
        case .fullyConnected: self = .fullyConnected(outputs: try int(.outputs))
        case .relu: self = .relu
        case .relu6: self = .relu6
        case .prelu: self = .prelu
        case .sigmoid: self = .activation(.sigmoid)
        case .tanh: self = .activation(.tanh)
        case .silu: self = .activation(.silu)
        case .hardSigmoid: self = .activation(.hardSigmoid(alpha: try float(.alpha), beta: try float(.beta)))
        case .hardSwish: self = .activation(.hardSwish)
        case .leakyReLU: self = .activation(.leakyReLU(slope: try float(.slope)))
        case .elu: self = .activation(.elu(alpha: try float(.alpha)))
        case .gelu: self = .activation(.gelu)
        case .geluTanh: self = .activation(.geluTanh)
        case .dropout: self = .dropout(rate: try float(.rate))
        case .softmax: self = .softmax
        case .output: self = .output(of: try int(.layer))
        case .add: self = .add(try int(.layer))
        case .multiply: self = .multiply(try int(.layer))
        case .concatenate: self = .concatenate(try values.decode([Int].self, forKey: .layers))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        func encode(_ kind: Kind, _ numbers: KeyValuePairs<Key, Int> = [:]) throws {
            try values.encode(kind, forKey: .type)
            for (key, number) in numbers { try values.encode(number, forKey: key) }
        }
        switch self {
        case .convolution(let outputs, let kernel, let stride, let padding, let groups, let hasBias):
            try encode(
                .convolution, [.outputs: outputs, .kernel: kernel, .stride: stride, .padding: padding])
            if groups != 1 { try values.encode(groups, forKey: .groups) }
            if !hasBias { try values.encode(false, forKey: .bias) }
        case .depthwiseConvolution(let kernel, let stride, let padding, let hasBias):
            try encode(.depthwiseConvolution, [.kernel: kernel, .stride: stride, .padding: padding])
            if !hasBias { try values.encode(false, forKey: .bias) }
        case .maxPool(let size, let stride, let padding):
            try encode(.maxPool, [.size: size, .stride: stride])
            if padding != 0 { try values.encode(padding, forKey: .padding) }
        case .averagePool(let size, let stride): try encode(.averagePool, [.size: size, .stride: stride])
        case .globalAveragePool: try encode(.globalAveragePool)
        case .batchNormalization(let epsilon):
            try encode(.batchNormalization)
            try values.encode(epsilon, forKey: .epsilon)
        case .localResponseNormalization(let size, let alpha, let beta, let k):
            try encode(.localResponseNormalization, [.size: size])
            for (key, number) in [(Key.alpha, alpha), (.beta, beta), (.k, k)] { try values.encode(number, forKey: key) }
        case .fullyConnected(let outputs): try encode(.fullyConnected, [.outputs: outputs])
        case .relu: try encode(.relu)
        case .relu6: try encode(.relu6)
        case .prelu: try encode(.prelu)
        case .activation(let function): try write(function, to: &values)
        case .dropout(let rate):
            try encode(.dropout)
            try values.encode(rate, forKey: .rate)
        case .softmax: try encode(.softmax)
        case .output(let layer): try encode(.output, [.layer: layer])
        case .add(let layer): try encode(.add, [.layer: layer])
        case .multiply(let layer): try encode(.multiply, [.layer: layer])
        case .concatenate(let layers):
            try encode(.concatenate)
            try values.encode(layers, forKey: .layers)
        }
    }

    private func write(_ function: Activation, to values: inout KeyedEncodingContainer<Key>) throws {
        let kind: Kind
        switch function {
        case .sigmoid: kind = .sigmoid
        case .tanh: kind = .tanh
        case .silu: kind = .silu
        case .hardSigmoid(let alpha, let beta):
            kind = .hardSigmoid
            try values.encode(alpha, forKey: .alpha)
            try values.encode(beta, forKey: .beta)
        case .hardSwish: kind = .hardSwish
        case .leakyReLU(let slope):
            kind = .leakyReLU
            try values.encode(slope, forKey: .slope)
        case .elu(let alpha):
            kind = .elu
            try values.encode(alpha, forKey: .alpha)
        case .gelu: kind = .gelu
        case .geluTanh: kind = .geluTanh
        }
        try values.encode(kind, forKey: .type)
    }
}
