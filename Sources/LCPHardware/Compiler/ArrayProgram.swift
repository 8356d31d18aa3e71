public import LCPModels

/// A branch as the array runs it: commands, weights, and where its input and its output lie.
public struct ArrayProgram: Sendable {
    /// What a layer takes.
    public struct Work: Sendable, Hashable {
        public let name: String
        /// Multiplications that the network asks for.
        public let multiplications: Int
        /// Its commands in ``ArrayProgram/commands``.
        let commands: Range<Int>
        /// What it writes.
        let map: ArrayMap
    }

    /// How the input's numbers are laid into the lines of its map.
    enum InputLayout: Sendable, Hashable, CaseIterable {
        /// Pixel by pixel, as they come.
        case plain
        /// With the pixels of the window's other rows behind each pixel.
        case columns
        /// With all pixels of the window behind each other, for every output.
        case windows
    }

    public let shape: ArrayShape
    public internal(set) var work: [Work] = []
    var commands: [ArrayCommand] = []
    /// Lines of weights and constants, words in the processor's order.
    var weights: [UInt8] = []
    /// Lines of all feature maps.
    public internal(set) var mapLines = 0
    public internal(set) var weightLines = 0

    // The input: what comes, and how it is laid.
    let input: FeatureMapShape
    var inputMap: ArrayMap
    var layout = InputLayout.plain
    /// Of the first layer, where the layout is made for it.
    var inputKernel = 1
    var inputStride = 1
    var inputPadding = 0
    var inputPad = 0

    var outputMap: ArrayMap
    /// Whether the output is sums.
    var isRaw = false

    public var bytes: Int { mapLines * shape.rows * shape.wordBytes }
    public var weightBytes: Int { weightLines * shape.weightWords * shape.wordBytes }
    public var commandCount: Int { commands.count }

    /// Compiles a branch of a network of which only the time counts. Response normalisations and softmax are left out, batch
    /// normalisations are in the weights before them.
    ///
    /// - Throws: ``HardwareError`` for a layer that the array cannot do, or a ``NetworkError``.
    public init(timing network: BranchedNetwork, branch index: Int, shape: ArrayShape) throws {
        let classes = try network.output(of: index) == .partialLogits ? network.classes : nil
        var compiler = ArrayCompiler(
            shape, network.branches[index], try network.shapes(of: index),
            TimingArithmetic(word: shape.word, classes: classes))
        self = try compiler.compile()
    }

    init(_ shape: ArrayShape, input: FeatureMapShape, inputMap: ArrayMap) {
        (self.shape, self.input, self.inputMap, outputMap) = (shape, input, inputMap, inputMap)
    }

    /// The clocks that the port for weights needs at the least, if each came once.
    public var leastWeightClocks: Int {
        var lines = 0
        for command in commands { lines += command.chunks * command.chunkLines }
        return lines
    }

    /// The clocks that it takes, where a memory answers some clocks after it was asked.
    public func clocks(latency: Int = 3) -> Int { time(latency: latency).clocks }

    /// The clocks that it takes, and of them those of each layer: from the last sum of the layer before to its own last one.
    public func time(latency: Int = 3) -> (clocks: Int, work: [Int]) {
        var model = CycleModel(shape)
        model.latency = latency
        let result = model.run(commands)
        var before = 0
        let layers = work.map { work in
            let end = result.ends[work.commands.upperBound - 1]
            defer { before = end }
            return end - before
        }
        return (result.clocks, layers)
    }

    /// The lines of the input's map.
    ///
    /// - Parameter numbers: HWC.
    func lay(_ numbers: [Int]) -> [Int] {
        var lines = [Int](repeating: inputPad, count: inputMap.lineCount * shape.rows)
        let rowWords = inputMap.rowLines * shape.rows
        func number(_ y: Int, _ x: Int, _ channel: Int) -> Int {
            guard y >= 0, y < input.height, x >= 0, x < input.width else { return inputPad }
            return numbers[(y * input.width + x) * input.channels + channel]
        }
        for row in 0..<inputMap.height {
            for column in 0..<inputMap.width {
                var place = row * rowWords + column * inputMap.pixel
                switch layout {
                case .plain:
                    for channel in 0..<input.channels { lines[place + channel] = number(row, column, channel) }
                case .columns:
                    for y in 0..<inputKernel {
                        for channel in 0..<input.channels {
                            lines[place] = number(row * inputStride + y - inputPadding, column, channel)
                            place += 1
                        }
                    }
                case .windows:
                    for y in 0..<inputKernel {
                        for x in 0..<inputKernel {
                            for channel in 0..<input.channels {
                                lines[place] = number(
                                    row * inputStride + y - inputPadding, column * inputStride + x - inputPadding,
                                    channel)
                                place += 1
                            }
                        }
                    }
                }
            }
        }
        return lines
    }
}

extension BranchedNetwork {
    /// The branch that takes longest, of which only the time counts, and its clocks.
    ///
    /// - Throws: ``HardwareError`` for a layer that the array cannot do, or a ``NetworkError``.
    public func slowestProgram(on shape: ArrayShape) throws -> (program: ArrayProgram, clocks: Int) {
        // Branches that have the same layers take the same time.
        var seen: Set<[Layer]> = []
        var slowest: (program: ArrayProgram, clocks: Int)?
        for (index, layers) in branches.enumerated() where seen.insert(layers).inserted {
            let program = try ArrayProgram(timing: self, branch: index, shape: shape)
            let clocks = program.clocks()
            if slowest.map({ clocks > $0.clocks }) ?? true { slowest = (program, clocks) }
        }
        guard let slowest else { throw HardwareError("the network has no branch") }
        return slowest
    }
}
