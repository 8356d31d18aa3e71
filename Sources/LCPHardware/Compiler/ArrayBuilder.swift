import LCPModels

/// Makes commands and weights of passes, one after the other.
struct ArrayBuilder {
    let shape: ArrayShape
    private(set) var program: ArrayProgram
    private var memory = MapMemory()

    init(_ shape: ArrayShape, input: FeatureMapShape) {
        self.shape = shape
        program = ArrayProgram(
            shape, input: input,
            inputMap: ArrayMap(line: 0, height: 0, width: 0, pixel: 1, rowLines: 1, places: []))
    }

    // MARK: Maps

    /// A map with room for `groups` pixels side by side.
    mutating func map(height: Int, width: Int, pixel: Int, places: [Int], together: Int = 1) -> ArrayMap {
        let pixels = (width + together - 1) / together * together
        let rowLines = (pixels * pixel + shape.rows - 1) / shape.rows
        let line = memory.take(height * rowLines)
        program.mapLines = memory.lineCount
        return ArrayMap(line: line, height: height, width: width, pixel: pixel, rowLines: rowLines, places: places)
    }

    /// Words of a pixel of so many channels, as the array writes it.
    func pixelWords(_ channels: Int) -> Int {
        let narrow = [8, 4, 2].map { shape.columns / $0 }.first {
            $0 >= channels && $0 < shape.rows && shape.rows.isMultiple(of: $0)
        }
        return narrow ?? (channels + shape.rows - 1) / shape.rows * shape.rows
    }

    mutating func free(_ map: ArrayMap) { memory.free(map.line) }

    mutating func setInput(
        _ map: ArrayMap, _ layout: ArrayProgram.InputLayout, kernel: Int, stride: Int, padding: Int, pad: Int
    ) {
        program.inputMap = map
        program.layout = layout
        (program.inputKernel, program.inputStride, program.inputPadding) = (kernel, stride, padding)
        program.inputPad = pad
    }

    /// The finished program.
    mutating func finish(_ output: ArrayMap, isRaw: Bool) -> ArrayProgram {
        program.outputMap = output
        program.isRaw = isRaw
        if !program.commands.isEmpty { program.commands[program.commands.count - 1].interrupts = true }
        return program
    }

    // MARK: Passes

    /// How the outputs of a pass are laid into the columns so that it takes the fewest clocks.
    ///
    /// - Throws: ``HardwareError`` where the words that a step needs are not read together.
    func plan(_ pass: ArrayPass, _ from: ArrayMap) throws(HardwareError) -> ColumnPlan {
        var best: ColumnPlan?
        for var plan in candidates(pass, from) {
            guard plan.tiles.allSatisfy({ fits(pass, from, $0) }) else { continue }
            plan.clocks = plan.tiles.reduce(0) { $0 + clocks(command(pass, from, nil, $1, ArrayMap.none)) }
            if best.map({ plan.clocks < $0.clocks }) ?? true { best = plan }
        }
        guard let best else {
            throw HardwareError(
                "\(pass.name) needs words that lie further apart than the \(shape.region) that an array of this shape reads together"
            )
        }
        return best
    }

    /// The same, of a pass whose narrow pixels become wide ones where they lie too far apart.
    func planned(_ pass: ArrayPass, _ from: ArrayMap) throws(HardwareError) -> (pass: ArrayPass, plan: ColumnPlan) {
        do throws(HardwareError) { return (pass, try plan(pass, from)) } catch {
            guard pass.structure == .diagonal else { throw error }
            return (pass.dense, try plan(pass.dense, from))
        }
    }

    private func candidates(_ pass: ArrayPass, _ from: ArrayMap) -> [ColumnPlan] {
        let (rows, columns, parts) = (shape.rows, shape.columns, shape.parts)
        var plans: [ColumnPlan] = []
        // Narrow outputs: several pixels lie in a line.
        let narrow = [8, 4, 2].filter { groups in
            let words = columns / groups
            return words < rows && rows.isMultiple(of: words) && columns.isMultiple(of: groups) && !pass.isRaw
                && !pass.isWide
        }
        for groups in narrow {
            let words = columns / groups
            let isRight = pass.structure == .dense ? pass.outputs <= words : from.pixel == words
            if isRight {
                plans.append(
                    ColumnPlan(
                        pixel: words,
                        tiles: [.init(place: 0, words: words, groups: groups, parts: parts, step: parts, part: 1)]))
            }
        }
        // Wide ones: a line is a part of a pixel.
        let pixel = pass.structure == .dense ? (pass.outputs + rows - 1) / rows * rows : from.pixel
        guard pixel.isMultiple(of: rows) else { return plans }
        let lines = pixel / rows * (pass.isRaw ? shape.pieces : 1)
        for sharesColumns in pass.isWide ? [false] : [true, false] {
            var tiles: [ColumnPlan.Tile] = []
            var place = 0
            while place < pixel {
                let left = pass.structure == .dense ? pixel - place : rows
                if sharesColumns, left == rows, [2, 4, 8].contains(parts), !pass.isRaw {
                    tiles.append(
                        .init(place: place, words: rows, groups: parts, parts: parts, step: parts * lines, part: lines))
                    place += rows
                } else {
                    let words = min(left, columns)
                    tiles.append(
                        .init(
                            place: place, words: words, groups: 1, parts: words / rows, step: lines,
                            part: pass.isRaw ? shape.pieces : 1))
                    place += words
                }
            }
            plans.append(ColumnPlan(pixel: pixel, tiles: tiles))
        }
        return plans
    }

    /// Whether all groups of columns find their words in the lines that are read.
    private func fits(_ pass: ArrayPass, _ from: ArrayMap, _ tile: ColumnPlan.Tile) -> Bool {
        guard tile.groups > 1 else {
            return true
        }
        let command = command(pass, from, nil, tile, .none)
        guard command.groupStep < 256 else { return false }
        let run =
            pass.structure == .diagonal && from.pixel >= shape.rows
            ? shape.rows : min(shape.rows, pass.kernelWidth * from.pixel)
        let reach = (tile.groups - 1) * command.groupStep + run
        // Where a step's first word may lie in its line.
        var starts: Set<Int> = []
        for inner in 0..<command.inners {
            for window in 0..<command.windowWidth {
                for step in 0..<min(command.stepsX, shape.rows) {
                    let x = command.inputX + inner * command.innerX + window * command.windowStep + step * command.stepX
                    starts.insert(x & (shape.rows - 1))
                }
            }
        }
        return starts.allSatisfy { $0 + reach <= shape.region }
    }

    /// Clocks of a command's chunks alone.
    private func clocks(_ command: ArrayCommand) -> Int {
        let whole = command.steps / command.block
        let rest = command.steps % command.block
        func block(_ steps: Int) -> Int { max(steps, command.chunkLines, 3) * command.chunks }
        return whole * block(command.block) + (rest > 0 ? block(rest) : 0)
    }

    /// Adds a pass.
    ///
    /// - Parameters:
    ///   - second: another map of the same form, whose words are added up, too.
    ///   - to: where the outputs go; a new map by default.
    mutating func add(_ pass: ArrayPass, from: ArrayMap, second: ArrayMap? = nil) throws(HardwareError) -> ArrayMap {
        let (pass, plan) = try planned(pass, from)
        guard pass.poolSize * pass.poolSize <= min(shape.entries, 256) else {
            throw HardwareError("\(pass.name) has windows of more than the \(shape.entries) sums that a column holds")
        }
        let places = pass.structure == .dense ? Array(0..<pass.outputs) : from.places
        let to: ArrayMap
        if pass.isRaw {
            let lines = plan.pixel / shape.rows * shape.pieces
            to = map(height: 1, width: 1, pixel: lines * shape.rows, places: places)
        } else {
            to = map(
                height: pass.pooledHeight, width: pass.pooledWidth, pixel: plan.pixel, places: places,
                together: plan.tiles.map(\.groups).max() ?? 1)
        }
        let first = program.commands.count
        for (index, tile) in plan.tiles.enumerated() {
            var command = command(pass, from, second, tile, to)
            command.waits = index == 0
            command.weightLine = program.weightLines
            if pass.weight != nil { appendWeights(pass, from, tile, command, operands: second == nil ? 1 : 2) }
            program.weightLines += command.chunks * command.chunkLines
            command.constantLine = program.weightLines
            if pass.weight != nil { appendConstants(pass, from, tile) }
            program.weightLines += shape.constantLines
            program.commands.append(command)
        }
        program.work.append(
            .init(
                name: pass.name, multiplications: pass.multiplications, commands: first..<program.commands.count,
                map: to))
        return to
    }

    private func command(
        _ pass: ArrayPass, _ from: ArrayMap, _ second: ArrayMap?, _ tile: ColumnPlan.Tile, _ to: ArrayMap
    ) -> ArrayCommand {
        var command = ArrayCommand()
        let pixel = from.pixel
        command.isRaw = pass.isRaw
        command.isDirect = pass.isDirect
        command.groups = tile.groups
        command.parts = tile.parts
        command.pad = pass.pad
        (command.least, command.most, command.zero) = (pass.least, pass.most, pass.zero)

        let isWideDiagonal = pass.structure == .diagonal && pixel >= shape.rows
        command.inputX = -pass.padding * pixel + (isWideDiagonal ? tile.place : 0)
        let down = pass.down
        command.inputY = -down.padding
        command.inputLine = from.line - down.padding * from.rowLines
        command.inputRows = from.height
        command.inputWords = from.words
        if pass.planes > 1 || second != nil {
            command.inners = second == nil ? 1 : 2
            command.innerLine = (second?.line ?? 0) - from.line
            command.outers = pass.planes
            command.shifts = pass.planes > 1
        } else {
            command.inners =
                isWideDiagonal ? pass.kernelWidth : (pass.kernelWidth * pixel + shape.rows - 1) / shape.rows
            command.innerX = isWideDiagonal ? pixel : shape.rows
            command.outers = pass.kernelHeight
            command.outerRow = 1
            command.outerLine = from.rowLines
        }

        command.windowWidth = pass.poolSize
        command.windowHeight = pass.poolSize
        command.windowStep = pass.stride * pixel
        command.windowRow = down.stride
        command.windowLine = down.stride * from.rowLines
        command.stepsX = (pass.pooledWidth + tile.groups - 1) / tile.groups
        command.stepX = tile.groups * pass.poolStride * pass.stride * pixel
        command.stepsY = pass.pooledHeight
        command.stepRow = pass.poolStride * down.stride
        command.stepLine = pass.poolStride * down.stride * from.rowLines
        command.groupStep = pass.poolStride * pass.stride * pixel
        let window = max(1, command.window)
        command.block = max(1, min(shape.entries / window * window, command.steps))

        let columns = min(tile.words, shape.columns / tile.groups)
        command.chunkLines = (columns + shape.together - 1) / shape.together
        command.outputLine = to.line + tile.place / shape.rows * (pass.isRaw ? shape.pieces : 1)
        command.outputRow = to.rowLines
        command.outputStep = tile.step
        command.outputPart = tile.part
        return command
    }

    // MARK: Weights

    private mutating func append(_ words: [Int]) {
        for word in words {
            program.weights.append(UInt8(truncatingIfNeeded: word))
            if shape.word == .q3_13 { program.weights.append(UInt8(truncatingIfNeeded: word >> 8)) }
        }
    }

    private mutating func appendWeights(
        _ pass: ArrayPass, _ from: ArrayMap, _ tile: ColumnPlan.Tile, _ command: ArrayCommand, operands: Int
    ) {
        guard let weight = pass.weight else { return }
        let channels = from.channels
        let isWideDiagonal = pass.structure == .diagonal && from.pixel >= shape.rows
        let isSum = pass.planes > 1 || operands > 1
        // The output of each word of a pixel that is written.
        let outputs: [Int?] = pass.structure == .dense ? (0..<pass.outputs).map { $0 } : channels
        var line = [Int](repeating: 0, count: shape.weightWords)
        for outer in 0..<command.outers {
            for inner in 0..<command.inners {
                for round in 0..<command.chunkLines {
                    for place in 0..<shape.together {
                        let word = tile.place + round * shape.together + place
                        let output =
                            outputs.indices.contains(word) && word < tile.place + tile.words ? outputs[word] : nil
                        for row in 0..<shape.rows {
                            // The word that this row sees, in the window's row.
                            let seen = isWideDiagonal ? tile.place + row : (isSum ? row : inner * shape.rows + row)
                            let x = isSum ? 0 : isWideDiagonal ? inner : seen / from.pixel
                            let channel =
                                isWideDiagonal
                                ? channels[seen]
                                : seen / from.pixel < pass.kernelWidth ? channels[seen % from.pixel] : nil
                            var value = 0
                            if let output, let channel, pass.structure == .dense || channel == output {
                                value =
                                    isSum
                                    ? weight(outer, inner, output, 0, 0, channel)
                                    : weight(0, 0, output, outer, x, channel)
                            }
                            line[place * shape.rows + row] = value
                        }
                    }
                    append(line)
                }
            }
        }
    }

    /// For every column its own, also where several have the same.
    private mutating func appendConstants(_ pass: ArrayPass, _ from: ArrayMap, _ tile: ColumnPlan.Tile) {
        let outputs: [Int?] = pass.structure == .dense ? (0..<pass.outputs).map { $0 } : from.channels
        var bytes: [UInt8] = []
        for column in 0..<shape.columns {
            let word = tile.place + column % (shape.columns / tile.groups)
            let output = outputs.indices.contains(word) ? outputs[word] : nil
            let constants = output.flatMap { pass.constants.indices.contains($0) ? pass.constants[$0] : nil } ?? .init()
            let bits =
                UInt64(UInt32(truncatingIfNeeded: constants.bias)) | UInt64(constants.multiplier) << 32
                | UInt64(constants.shift) << 48
            for byte in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: bits >> UInt64(8 * byte))) }
        }
        let count = shape.constantLines * shape.weightWords * shape.wordBytes
        program.weights += bytes + [UInt8](repeating: 0, count: count - bytes.count)
    }
}

extension ArrayMap {
    fileprivate static let none = ArrayMap(line: 0, height: 0, width: 0, pixel: 0, rowLines: 0, places: [])
}
