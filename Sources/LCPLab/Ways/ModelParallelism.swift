import LCPModels

/// Model parallelism: every layer divided over all devices, activations put together after every layer (paper section 2).
///
/// Between layers every device holds its share of the channels. A layer divided by its outputs needs all channels first, which the
/// devices send each other; divided by its inputs it needs none, but its sums are incomplete, and the devices send each other
/// those. Each layer is divided in the way that sends less. The last one is divided by its inputs: its summands go to the one that
/// joins.
struct ModelParallelism {
    private let network: Network
    private let devices: Int
    private let layers: [Layer]
    private let shapes: [FeatureMapShape]
    private var programs: [DeviceProgram]
    /// The slots of what a layer made, −1 for the picture: every device's channels, or all of them.
    private var shares: [Int: Int] = [:]
    private var wholes: [Int: Int] = [:]
    /// Layers whose output a later one names.
    private let named: Set<Int>

    /// - Returns: a program for every device.
    /// - Throws: ``NetworkError`` where a layer cannot be divided so, or has too few channels.
    static func programs(_ network: Network, devices: Int) throws(NetworkError) -> [DeviceProgram] {
        var plan = try ModelParallelism(network, devices)
        try plan.build()
        return plan.programs
    }

    private init(_ network: Network, _ devices: Int) throws(NetworkError) {
        self.network = network
        self.devices = devices
        layers = network.allLayers
        shapes = try Layer.shapes(of: layers, input: network.input)
        named = Set(layers.flatMap(\.references))
        programs = Array(repeating: DeviceProgram(), count: devices)
        for (index, layer) in layers.enumerated() where layer.hasStatistics {
            guard index > 0, layers[index - 1].folds, !named.contains(index - 1) else {
                throw NetworkError("model parallelism takes a batch normalisation behind a convolution only")
            }
        }
        for device in 0..<devices {
            let slot = programs[device].addSlot(network.input)
            programs[device].steps.append(.decode(into: slot))
            wholes[-1] = slot
        }
    }

    /// The channels of a feature map that a device holds.
    private func range(_ channels: Int, _ device: Int) -> Range<Int> {
        channels * device / devices..<channels * (device + 1) / devices
    }

    private func share(_ shape: FeatureMapShape, _ device: Int) -> FeatureMapShape {
        FeatureMapShape(height: shape.height, width: shape.width, channels: range(shape.channels, device).count)
    }

    private mutating func build() throws(NetworkError) {
        var (index, current) = (0, -1)
        while index < layers.count {
            let layer = layers[index]
            guard shapes[index + 1].channels >= devices else {
                throw NetworkError("\(layer) has fewer channels than there are devices, \(devices)")
            }
            switch layer {
            case .convolution(_, _, groups: 1, _), .fullyConnected:
                if index == layers.count - 1 {
                    answer(index, current)
                    return
                }
                let end = absorbed(after: index)
                let isWhole = wholes[current] != nil
                if isWhole || shapes[index].elementCount <= shapes[index + 1].elementCount {
                    try divideByOutput(index, end, current)
                } else {
                    try divideByInput(index, end, current)
                }
                (index, current) = (end, end - 1)
            case .depthwiseConvolution:
                let end = absorbed(after: index)
                try computeShares(index, end, current)
                (index, current) = (end, end - 1)
            case .add(let other):
                addShares(index, current, other)
                (index, current) = (index + 1, index)
            case .output(let other):
                // What was made before goes on from here.
                shares[index] = shares[other]
                wholes[index] = wholes[other]
                (index, current) = (index + 1, other)
            case .relu, .relu6, .activation, .maxPool, .averagePool, .globalAveragePool, .dropout:
                let end = absorbed(after: index)
                try computeShares(index, end, current)
                (index, current) = (end, end - 1)
            default: throw NetworkError("model parallelism does not divide \(layer)")
            }
        }
    }

    /// The end of the layers behind a first one that work on every channel by itself, the last of them the first that is named.
    private func absorbed(after first: Int) -> Int {
        var end = first + 1
        while end < layers.count, !named.contains(end - 1), layers[end].isChannelwise { end += 1 }
        return end
    }

    /// Layers on single channels, without those that are folded into weights.
    private func channelwise(_ range: Range<Int>) -> [Layer] {
        layers[range].filter { layer in
            switch layer {
            case .batchNormalization, .dropout: false
            default: true
            }
        }
    }

    /// Gives every device all channels of what a layer made.
    private mutating func gather(_ source: Int) {
        guard wholes[source] == nil, let slot = shares[source] else { return }
        let shape = shapes[source + 1]
        var whole = 0
        for device in 0..<devices {
            whole = programs[device].addSlot(shape)
            let own = range(shape.channels, device)
            programs[device].steps.append(
                .copy(from: slot, channels: 0..<own.count, into: whole, at: own.lowerBound))
            let others = (0..<devices).filter { $0 != device }
            programs[device].steps.append(
                .exchange(
                    others.map { .init(to: $0, slot: slot, channels: 0..<own.count) },
                    others.map { .init(from: $0, slot: whole, channels: range(shape.channels, $0)) }))
        }
        wholes[source] = whole
    }

    private mutating func divideByOutput(_ index: Int, _ end: Int, _ source: Int) throws(NetworkError) {
        gather(source)
        guard let from = wholes[source] else { return }
        var slot = 0
        for device in 0..<devices {
            let outputs = range(shapes[index + 1].channels, device)
            let trailing = channelwise(index + 1..<end)
            let part = programs[device].addPart(
                .init(
                    input: shapes[index],
                    layers: [layers[index].withBias.withWidth(outputs.count, inputs: shapes[index].channels)]
                        + trailing,
                    weights: [.init(layer: index, outputs: outputs, inputs: 0..<shapes[index].channels)]
                        + trailing.map { _ in nil }))
            slot = programs[device].addSlot(share(shapes[end], device))
            programs[device].steps.append(.compute(part: part, from: from, into: slot))
        }
        shares[end - 1] = slot
    }

    private mutating func divideByInput(_ index: Int, _ end: Int, _ source: Int) throws(NetworkError) {
        guard let from = shares[source] else { return }
        let output = shapes[index + 1]
        var slot = 0
        for device in 0..<devices {
            let inputs = range(shapes[index].channels, device)
            let part = programs[device].addPart(
                .init(
                    input: share(shapes[index], device), layers: [layers[index].withBias],
                    weights: [.init(layer: index, outputs: 0..<output.channels, inputs: inputs, hasBias: false)]))
            let summands = programs[device].addSlot(output)
            programs[device].steps.append(.compute(part: part, from: from, into: summands))
            let own = range(output.channels, device)
            slot = programs[device].addSlot(share(output, device))
            programs[device].steps.append(.copy(from: summands, channels: own, into: slot, at: 0))
            let others = (0..<devices).filter { $0 != device }
            programs[device].steps += [
                .exchange(
                    others.map { .init(to: $0, slot: summands, channels: range(output.channels, $0)) },
                    others.map { .init(from: $0, slot: slot, channels: 0..<own.count, adds: true) }),
                .bias(.init(layer: index, outputs: own, inputs: 0..<shapes[index].channels), to: slot),
            ]
        }
        shares[index] = slot
        let rest = channelwise(index + 1..<end)
        if rest.isEmpty {
            shares[end - 1] = slot
        } else if rest == [.relu] {
            for device in 0..<devices { programs[device].steps.append(.relu(slot)) }
            shares[end - 1] = slot
        } else {
            try computeShares(index + 1, end, index)
        }
    }

    /// Layers that leave channels apart: every device computes its own.
    private mutating func computeShares(_ index: Int, _ end: Int, _ source: Int) throws(NetworkError) {
        guard let from = shares[source] else {
            throw NetworkError("model parallelism begins with a convolution or a fully connected layer")
        }
        var slot = 0
        for device in 0..<devices {
            let channels = range(shapes[index].channels, device)
            var part = DeviceProgram.Part(input: share(shapes[index], device), layers: [], weights: [])
            if case .depthwiseConvolution = layers[index] {
                part.layers.append(layers[index].withBias)
                part.weights.append(.init(layer: index, outputs: channels, inputs: 0..<1))
            }
            let rest = channelwise(index + part.layers.count..<end)
            part.layers += rest
            part.weights += rest.map { _ in nil }
            guard !part.layers.isEmpty else {
                slot = from
                continue
            }
            let number = programs[device].addPart(part)
            slot = programs[device].addSlot(share(shapes[end], device))
            programs[device].steps.append(.compute(part: number, from: from, into: slot))
        }
        shares[end - 1] = slot
    }

    private mutating func addShares(_ index: Int, _ current: Int, _ other: Int) {
        guard let to = shares[current], let summand = shares[other] else { return }
        for device in 0..<devices {
            let sum = programs[device].addSlot(share(shapes[index + 1], device))
            programs[device].steps += [
                .copy(from: to, channels: 0..<programs[device].slots[to].channels, into: sum, at: 0),
                .add(summand, to: sum),
            ]
        }
        shares[index] = programs[0].slots.count - 1
    }

    private mutating func answer(_ index: Int, _ source: Int) {
        let isWhole = shares[source] == nil
        guard let from = shares[source] ?? wholes[source] else { return }
        for device in 0..<devices {
            let inputs = range(shapes[index].channels, device)
            let outputs = range(network.classes, device)
            let part =
                isWhole
                ? DeviceProgram.Part(
                    input: shapes[index], layers: [.fullyConnected(outputs: outputs.count)],
                    weights: [.init(layer: index, outputs: outputs, inputs: 0..<shapes[index].channels)])
                : DeviceProgram.Part(
                    input: share(shapes[index], device), layers: [.fullyConnected(outputs: network.classes)],
                    // The one that joins adds up; one of the summands has the bias.
                    weights: [
                        .init(layer: index, outputs: 0..<network.classes, inputs: inputs, hasBias: device == 0)
                    ])
            let number = programs[device].addPart(part)
            let slot = programs[device].addSlot(
                FeatureMapShape(features: isWhole ? outputs.count : network.classes))
            programs[device].steps += [
                .compute(part: number, from: from, into: slot),
                .answer(slot: slot, first: isWhole ? outputs.lowerBound : 0),
            ]
        }
    }
}

extension Layer {
    /// Whether it works on every channel by itself, and has no weights but those that fold into the layer before.
    fileprivate var isChannelwise: Bool {
        switch self {
        case .batchNormalization, .relu, .relu6, .activation, .maxPool, .averagePool, .globalAveragePool, .dropout: true
        default: false
        }
    }

    /// Whether a batch normalisation behind it folds into its weights.
    fileprivate var folds: Bool {
        switch self {
        case .convolution, .depthwiseConvolution, .fullyConnected: true
        default: false
        }
    }
}
