/// What the array computes, command by command, without its clocks: slow and plain.
struct ArrayMachine {
    let program: ArrayProgram
    /// Words of all lines of maps.
    private var maps: [Int]
    /// Numbers that were beyond what a word holds.
    private(set) var clipped = 0

    init(_ program: ArrayProgram) {
        self.program = program
        maps = Array(repeating: 0, count: program.mapLines * program.shape.rows)
    }

    /// The words of the output's map.
    mutating func run(_ numbers: [Int]) -> [Int] {
        put(program.lay(numbers))
        for command in program.commands { run(command) }
        return words(program.outputMap)
    }

    /// Lays down the input's lines.
    mutating func put(_ lines: [Int]) {
        let start = program.inputMap.line * program.shape.rows
        maps.replaceSubrange(start..<start + lines.count, with: lines)
    }

    /// The words of a map.
    func words(_ map: ArrayMap) -> [Int] {
        Array(maps[map.line * program.shape.rows..<(map.line + map.lineCount) * program.shape.rows])
    }

    mutating func run(_ command: ArrayCommand) {
        for stepY in 0..<command.stepsY {
            for stepX in 0..<command.stepsX {
                var largest = [Int](repeating: .min, count: program.shape.columns)
                var sums = largest
                for windowY in 0..<command.windowHeight {
                    for windowX in 0..<command.windowWidth {
                        for column in 0..<program.shape.columns {
                            sums[column] = sum(command, stepY, stepX, windowY, windowX, column)
                            let number = number(command, sums[column], column)
                            largest[column] = max(largest[column], number)
                        }
                    }
                }
                write(command, largest, stepY, stepX)
            }
        }
    }

    private mutating func write(_ command: ArrayCommand, _ numbers: [Int], _ stepY: Int, _ stepX: Int) {
        let rows = program.shape.rows
        for part in 0..<command.parts {
            let line =
                command.outputLine + stepY * command.outputRow + stepX * command.outputStep + part * command.outputPart
            for piece in 0..<(command.isRaw ? program.shape.pieces : 1) {
                for row in 0..<rows {
                    let number = numbers[part * rows + row]
                    let word = number >> (piece * program.shape.word.bits)
                    maps[(line + piece) * rows + row] =
                        command.isRaw
                        ? (program.shape.word == .int8
                            ? Int(Int8(truncatingIfNeeded: word)) : Int(Int16(truncatingIfNeeded: word)))
                        : number
                }
            }
        }
    }

    private func sum(
        _ command: ArrayCommand, _ stepY: Int, _ stepX: Int, _ windowY: Int, _ windowX: Int, _ column: Int
    ) -> Int {
        let shape = program.shape
        let perGroup = shape.columns / command.groups
        let x =
            command.inputX + stepX * command.stepX + windowX * command.windowStep + column / perGroup
            * command.groupStep
        let y = command.inputY + stepY * command.stepRow + windowY * command.windowRow
        let line = command.inputLine + stepY * command.stepLine + windowY * command.windowLine
        var sum = 0
        for outer in 0..<command.outers {
            if command.shifts, outer > 0 { sum <<= shape.word.bits }
            for inner in 0..<command.inners {
                let chunk = outer * command.inners + inner
                for row in 0..<shape.rows {
                    let weight = weight(command, chunk, column % perGroup, row)
                    guard weight != 0 else { continue }
                    let word = x + inner * command.innerX + row
                    let rowY = y + outer * command.outerRow
                    var number = command.pad
                    if rowY >= 0, rowY < command.inputRows, word >= 0, word < command.inputWords {
                        let first = line + inner * command.innerLine + outer * command.outerLine
                        number = maps[first * shape.rows + word]
                    }
                    sum += weight * number
                }
            }
        }
        return sum
    }

    private func weight(_ command: ArrayCommand, _ chunk: Int, _ column: Int, _ row: Int) -> Int {
        let shape = program.shape
        guard column / shape.together < command.chunkLines else { return 0 }
        let line = command.weightLine + chunk * command.chunkLines + column / shape.together
        return word(line * shape.weightWords + column % shape.together * shape.rows + row)
    }

    private func word(_ index: Int) -> Int {
        program.shape.word == .int8
            ? Int(Int8(bitPattern: program.weights[index]))
            : Int(Int16(bitPattern: UInt16(program.weights[2 * index]) | UInt16(program.weights[2 * index + 1]) << 8))
    }

    private mutating func number(_ command: ArrayCommand, _ sum: Int, _ column: Int) -> Int {
        let shape = program.shape
        let first = command.constantLine * shape.weightWords * shape.wordBytes + column * 8
        let bits = (0..<8).reduce(UInt64(0)) { $0 | UInt64(program.weights[first + $1]) << UInt64(8 * $1) }
        let bias = Int(Int32(truncatingIfNeeded: bits))
        let (multiplier, shift) = (Int(bits >> 32 & 0x7FFF), Int(bits >> 48 & 31))
        if command.isRaw { return sum + bias }
        func shifted(_ number: Int, _ bits: Int) -> Int { bits == 0 ? number : (number + 1 << (bits - 1)) >> bits }
        let (low, high) = shape.word == .int8 ? (-128, 127) : (-32_768, 32_767)
        var number: Int
        if shape.word == .int8 {
            number = max(-32_768, min(32_767, shifted(sum + bias, shift)))
            if !command.isDirect { number = shifted(shifted(number * multiplier, 15), 6) }
            number += command.zero
        } else {
            number = shifted(sum + bias << 13, 13)
        }
        if number < low || number > high { clipped += 1 }
        return max(command.least, min(command.most, max(low, min(high, number))))
    }
}

extension HardwareBranch {
    /// What the array's commands make of an input, without its clocks.
    public func output(of numbers: [Int]) -> [Float] {
        var machine = ArrayMachine(program)
        return output(machine.run(numbers))
    }
}
