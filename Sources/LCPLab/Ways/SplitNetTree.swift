import LCPModels
import Platform

/// SplitNet's tree (Kim et al., 2017) on as many devices as it has leaves, a power of two.
///
/// The first stretch of layers is whole, on the first device; every later one stands in twice as many groups, each half as wide as
/// those before, which never talk to each other. Where a group parts, one of its two stays on its device and the other is sent all
/// that the group made. Every leaf knows its own classes.
struct SplitNetTree {
    private let devices: Int
    private let levels: Int
    private let classes: Int
    private let path: [Layer]
    private let starts: [Int]
    private let shapes: [FeatureMapShape]

    /// - Throws: ``NetworkError`` for other numbers of devices, and where the network cannot be parted so often.
    init(_ network: Network, devices: Int) throws(NetworkError) {
        guard let (path, starts) = try network.splitNetPath(devices: devices) else {
            throw NetworkError(
                "SplitNet's tree has 2, 4, 8, … leaves, at least as many classes, and a place to part for every level: "
                    + "\(network.name) on \(devices) devices has not")
        }
        guard path.allSatisfy({ $0.references.isEmpty }) else {
            throw NetworkError(
                "SplitNet's tree is built for networks without skip connections, and \(network.name) has some")
        }
        (self.path, self.starts) = (path, starts)
        self.devices = devices
        levels = starts.count
        classes = network.classes
        shapes = try Layer.shapes(of: path, input: network.input)
    }

    /// The layers of a level.
    private func range(of level: Int) -> Range<Int> {
        (level == 0 ? 0 : starts[level - 1])..<(level == levels ? path.count : starts[level])
    }

    /// The classes that a leaf knows.
    private func classes(of leaf: Int) -> Range<Int> { classes * leaf / devices..<classes * (leaf + 1) / devices }

    /// The layers of a level on the way to a leaf.
    private func layers(of level: Int, leaf: Int) -> [Layer] {
        range(of: level).map { index in
            index == path.count - 1 ? .fullyConnected(outputs: classes(of: leaf).count) : path[index]
        }
    }

    /// The number of the group of a level that a leaf is in.
    private func set(level: Int, leaf: Int) -> Int { (1 << level) - 1 + (leaf >> (levels - level)) }

    /// A program for every device, that of the first leaf first.
    func programs() throws(NetworkError) -> [DeviceProgram] {
        var programs: [DeviceProgram] = []
        for device in 0..<devices { programs.append(try program(of: device)) }
        return programs
    }

    private func program(of device: Int) throws(NetworkError) -> DeviceProgram {
        var program = DeviceProgram()
        // The first leaf's device begins with the root; another where its group parts from one on another device.
        let first = device == 0 ? 0 : levels - device.trailingZeroBitCount
        let input = shapes[range(of: first).lowerBound]
        var current = program.addSlot(input)
        program.steps.append(
            device == 0
                ? .decode(into: current)
                : .exchange([], [.init(from: device - (devices >> first), slot: current, channels: 0..<input.channels)])
        )
        for level in first...levels {
            let (range, layers) = (range(of: level), layers(of: level, leaf: device))
            let part = program.addPart(
                .init(
                    input: program.slots[current], layers: layers,
                    weights: zip(range, layers).map { index, layer in
                        layer.width.map {
                            .init(
                                set: set(level: level, leaf: device), layer: index, outputs: 0..<$0,
                                inputs: 0..<shapes[index].channels)
                        }
                    }))
            let output = try program.parts[part].output()
            let slot = program.addSlot(output)
            program.steps.append(.compute(part: part, from: current, into: slot))
            program.steps.append(
                level == levels
                    ? .answer(slot: slot, first: classes(of: device).lowerBound)
                    : .exchange(
                        [.init(to: device + (devices >> (level + 1)), slot: slot, channels: 0..<output.channels)], []))
            current = slot
        }
        return program
    }

    /// Random weights for every group.
    func weights() throws(NetworkError) -> ProgramWeights {
        var sets: [BranchParameters] = []
        for level in 0...levels {
            for group in 0..<1 << level {
                var random = SeededGenerator(seed: 1, stream: UInt64(sets.count))
                var parameters = BranchParameters(repeating: nil, count: path.count)
                let leaf = group << (levels - level)
                for (index, layer) in zip(range(of: level), layers(of: level, leaf: leaf)) {
                    guard let dimensions = layer.weightDimensions(input: shapes[index]) else { continue }
                    let fanIn = dimensions.dropFirst().reduce(1, *)
                    let limit = (6 / Float(fanIn)).squareRoot()
                    parameters[index] = LayerParameters(
                        weight: (0..<dimensions[0] * fanIn).map { _ in random.uniform(-limit, limit) },
                        bias: Array(repeating: 0, count: dimensions[0]))
                }
                sets.append(parameters)
            }
        }
        return try ProgramWeights(path, input: shapes[0], sets: sets)
    }
}
