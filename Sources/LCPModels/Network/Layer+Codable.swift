extension Layer: Codable {
    private enum Key: String, CodingKey {
        case type, outputs, kernel, stride, padding, groups, bias, size, epsilon, alpha, beta, k, rate, layer, layers,
            slope, dilation, ceil, first, count, total
        case countsPadding = "count_padding"
    }
    private enum Kind: String, Codable {
        case convolution
        case depthwiseConvolution = "depthwise_convolution"
        case maxPool = "max_pool"
        case averagePool = "average_pool"
        case globalAveragePool = "global_average_pool"
        case batchNormalization = "batch_normalization"
        case channelNormalization = "channel_normalization"
        case localResponseNormalization = "local_response_normalization"
        case fullyConnected = "fully_connected"
        case relu, relu6, prelu, dropout, softmax
        case sigmoid, tanh, silu, elu, gelu
        case hardSigmoid = "hard_sigmoid"
        case hardSwish = "hard_swish"
        case leakyReLU = "leaky_relu"
        case geluTanh = "gelu_tanh"
        case output, add, multiply, concatenate, slice, shuffle
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        func int(_ key: Key, _ missing: Int? = nil) throws -> Int {
            if let missing { return try values.decodeIfPresent(Int.self, forKey: key) ?? missing }
            return try values.decode(Int.self, forKey: key)
        }
        /// One number for all, or so many.
        func ints(_ key: Key, _ count: Int, _ missing: Int?) throws -> [Int] {
            if let numbers = try? values.decode([Int].self, forKey: key) {
                guard numbers.count == count else {
                    throw DecodingError.dataCorruptedError(
                        forKey: key, in: values, debugDescription: "\(numbers.count) numbers, and not \(count)")
                }
                return numbers
            }
            return Array(repeating: try int(key, missing), count: count)
        }
        func window(_ size: Key, stride: Int? = nil) throws -> Window {
            let (sizes, strides) = (try ints(size, 2, nil), try ints(.stride, 2, stride))
            let (paddings, dilations) = (try ints(.padding, 4, 0), try ints(.dilation, 2, 1))
            return Window(
                height: sizes[0], width: sizes[1], strideDown: strides[0], strideAcross: strides[1], top: paddings[0],
                bottom: paddings[2], left: paddings[1], right: paddings[3], dilationDown: dilations[0],
                dilationAcross: dilations[1], roundsUp: try values.decodeIfPresent(Bool.self, forKey: .ceil) ?? false)
        }
        func float(_ key: Key) throws -> Float { try values.decode(Float.self, forKey: key) }
        let hasBias = try values.decodeIfPresent(Bool.self, forKey: .bias) ?? true
        switch try values.decode(Kind.self, forKey: .type) {
        case .convolution:
            self = .convolution(
                outputs: try int(.outputs), window: try window(.kernel, stride: 1), groups: try int(.groups, 1),
                hasBias: hasBias)
        case .depthwiseConvolution:
            self = .depthwiseConvolution(window: try window(.kernel, stride: 1), hasBias: hasBias)
        case .maxPool: self = .maxPool(window: try window(.size))
        case .averagePool:
            self = .averagePool(
                window: try window(.size),
                countsPadding: try values.decodeIfPresent(Bool.self, forKey: .countsPadding) ?? false)
        case .globalAveragePool: self = .globalAveragePool
        case .batchNormalization: self = .batchNormalization(epsilon: try float(.epsilon))
        case .channelNormalization: self = .channelNormalization(epsilon: try float(.epsilon))
        case .slice: self = .slice(first: try int(.first), count: try int(.count), of: try int(.total))
        case .shuffle: self = .shuffle(groups: try int(.groups))
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
        case .convolution(let outputs, let window, let groups, let hasBias):
            try encode(.convolution, [.outputs: outputs])
            try write(window, size: .kernel, isPaddingWritten: true, to: &values)
            if groups != 1 { try values.encode(groups, forKey: .groups) }
            if !hasBias { try values.encode(false, forKey: .bias) }
        case .depthwiseConvolution(let window, let hasBias):
            try encode(.depthwiseConvolution)
            try write(window, size: .kernel, isPaddingWritten: true, to: &values)
            if !hasBias { try values.encode(false, forKey: .bias) }
        case .maxPool(let window):
            try encode(.maxPool)
            try write(window, size: .size, to: &values)
        case .averagePool(let window, let countsPadding):
            try encode(.averagePool)
            try write(window, size: .size, to: &values)
            if countsPadding { try values.encode(true, forKey: .countsPadding) }
        case .globalAveragePool: try encode(.globalAveragePool)
        case .batchNormalization(let epsilon):
            try encode(.batchNormalization)
            try values.encode(epsilon, forKey: .epsilon)
        case .channelNormalization(let epsilon):
            try encode(.channelNormalization)
            try values.encode(epsilon, forKey: .epsilon)
        case .slice(let first, let count, let total):
            try encode(.slice, [.first: first, .count: count, .total: total])
        case .shuffle(let groups): try encode(.shuffle, [.groups: groups])
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

    /// Numbers that are the same are written once, as programs before wrote them all.
    private func write(
        _ window: Window, size: Key, isPaddingWritten: Bool = false, to values: inout KeyedEncodingContainer<Key>
    ) throws {
        func encode(_ numbers: [Int], _ key: Key) throws {
            if Set(numbers).count == 1 {
                try values.encode(numbers[0], forKey: key)
            } else {
                try values.encode(numbers, forKey: key)
            }
        }
        try encode([window.height, window.width], size)
        try encode([window.strideDown, window.strideAcross], .stride)
        if isPaddingWritten || window.hasPadding {
            try encode([window.top, window.left, window.bottom, window.right], .padding)
        }
        if window.isDilated { try encode([window.dilationDown, window.dilationAcross], .dilation) }
        if window.roundsUp { try values.encode(true, forKey: .ceil) }
    }
}
