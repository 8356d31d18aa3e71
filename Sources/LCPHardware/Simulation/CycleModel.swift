/// The array clock by clock, but without its numbers: what `Hardware/rtl` does with its signals, where memories answer a fixed number
/// of clocks after they were asked.
struct CycleModel {
    /// What a program takes.
    struct Result: Sendable, Hashable {
        /// From the end of the reset until everything is written.
        var clocks = 0
        /// When the last sum of each command was taken.
        var ends: [Int] = []
    }

    /// Clocks until a memory answers.
    var latency = 3
    let shape: ArrayShape

    /// A step that was asked for, and is not taken.
    private struct Step {
        var first = false
        var opening = false
        var closing = false
        var last = false
        var bank = 0
        var count = 0
    }

    /// A block whose sums are complete.
    private struct Block {
        var reads = 0
        var last = false
    }

    /// Clocks between two sums for the same entry, from a step to its sum, and from a sum that is read to its line.
    private static let again = 2
    private static let delay = 5
    private static let depth = 5

    // The command that comes, and the one that is walked.
    private var words = 0
    private var fed = 0
    private var next: ArrayCommand?
    private var isLoading = false
    private var current = ArrayCommand()
    private var index = -1
    private var isActive = false
    private var starts = false
    private var isReleased = false

    // The walk.
    private var isRunning = false
    private var blockStart = 0
    private var inBlock = 0
    private var chunk = 0
    private var bank = 0
    private var request: Step?
    private var queue: [Step] = []
    private var answers: [Int] = []

    // The loader.
    private var loader = ArrayCommand()
    private var isAsking = false
    private var ask = (chunk: 0, block: 0, round: 0, constants: false)
    private var isComing = false
    private var come = (chunk: 0, block: 0, round: 0, constants: false)
    private var weightAnswers: [Int] = []
    private var isFull = false
    private var hasConstants = false

    // What was taken.
    private var age = again
    private var used = [false, false]
    private var taken: [Step?] = Array(repeating: nil, count: delay)

    // What is read out.
    private var blocks: [Block?] = [nil, nil]
    private var readBank = 0
    private var hasBegun = false
    private var isEnding = false
    private var entry = 0
    private var going: [(ends: Bool, writes: Bool)?] = Array(repeating: nil, count: depth)
    private var frees: Int?
    private var isWriting = false

    init(_ shape: ArrayShape) { self.shape = shape }

    /// The clocks of a program's commands.
    mutating func run(_ commands: [ArrayCommand]) -> Result {
        var result = Result(ends: Array(repeating: 0, count: commands.count))
        while !isDone(commands) {
            clock(commands, &result)
            result.clocks += 1
        }
        return result
    }

    private var isIdle: Bool {
        blocks[0] == nil && blocks[1] == nil && !isWriting && going.allSatisfy { $0 == nil }
    }

    private func isDone(_ commands: [ArrayCommand]) -> Bool {
        fed == commands.count && words == 0 && next == nil && !isActive && !starts && isIdle
    }

    private mutating func clock(_ commands: [ArrayCommand], _ result: inout Result) {
        let now = result.clocks
        // All that is decided in this clock, from what was there at its beginning.
        let loaderTakes = next != nil && !isLoading && !isAsking && !isComing
        let hold = current.waits && !isReleased
        let accepts = request != nil && queue.count < 8
        let advances = isRunning && !hold && (request == nil || accepts)
        let takes = canTake(now)
        let swaps = takes && queue[0].first
        let weightComes =
            isComing && (weightAnswers.first.map { $0 <= now } ?? false)
            && (come.constants ? !hasConstants : !isFull || swaps)
        let finished = taken[Self.delay - 1].flatMap { $0.closing ? $0 : nil }
        let reads = blocks[readBank] != nil && hasConstants && hasBegun && !isEnding
        let last = going[Self.depth - 1]
        let constantsUsed = last?.ends ?? false
        let idle = isIdle

        // Results.
        isWriting = last?.writes ?? false
        advanceReading(reads, constantsUsed)
        if let finished {
            let reads = finished.count * (current.isRaw ? shape.pieces : 1)
            blocks[finished.bank] = Block(reads: reads, last: finished.last)
        }
        // Sums.
        taken.removeLast()
        taken.insert(takes ? queue[0] : nil, at: 0)
        if takes, queue[0].last { result.ends[index] = now }
        age = swaps ? 0 : min(age + 1, Self.again)
        if takes, queue[0].opening { used[queue[0].bank] = true }

        // The loader.
        advanceLoader(loaderTakes, weightComes, swaps, constantsUsed, now)

        // The walk.
        if takes {
            queue.removeFirst()
            answers.removeFirst()
        }
        if accepts, let request {
            queue.append(request)
            answers.append(now + latency)
        }
        let wasStarting = starts
        if request == nil || accepts { request = advances && !wasStarting ? step : nil }
        if wasStarting {
            isRunning = true
            (blockStart, inBlock, chunk) = (0, 0, 0)
        } else if advances {
            advanceWalk()
        }

        // Commands.
        starts = false
        let becomesCurrent = next != nil && isLoading && !isActive
        if next == nil, fed < commands.count {
            words += 1
            if words == ArrayCommand.wordCount {
                words = 0
                next = commands[fed]
                fed += 1
            }
        }
        if loaderTakes { isLoading = true }
        let endsCommand = finished?.last ?? false
        if becomesCurrent, let command = next {
            current = command
            index += 1
            next = nil
            isLoading = false
            isActive = true
            starts = true
            isReleased = false
        } else if isActive, idle {
            isReleased = true
        }
        if endsCommand { isActive = false }
    }

    // MARK: The walk

    private var blockSteps: Int { min(current.block, current.steps - blockStart) }

    private var step: Step {
        let isLastChunk = chunk == current.chunks - 1
        let isBlockEnd = inBlock == blockSteps - 1
        return Step(
            first: inBlock == 0, opening: inBlock == 0 && chunk == 0, closing: isBlockEnd && isLastChunk,
            last: isBlockEnd && isLastChunk && blockStart + blockSteps == current.steps, bank: bank, count: blockSteps)
    }

    private mutating func advanceWalk() {
        inBlock += 1
        guard inBlock == blockSteps else { return }
        inBlock = 0
        chunk += 1
        guard chunk == current.chunks else { return }
        chunk = 0
        bank = 1 - bank
        blockStart += current.block
        if blockStart >= current.steps { isRunning = false }
    }

    private func canTake(_ now: Int) -> Bool {
        guard let step = queue.first, answers[0] <= now else { return false }
        if step.first, !isFull || age < Self.again { return false }
        return !step.opening || !used[step.bank]
    }

    // MARK: The loader

    private mutating func advanceLoader(_ takes: Bool, _ comes: Bool, _ swaps: Bool, _ constantsUsed: Bool, _ now: Int)
    {
        if swaps { isFull = false }
        if constantsUsed { hasConstants = false }
        if comes {
            weightAnswers.removeFirst()
            let isRoundEnd = come.round == (come.constants ? shape.constantLines : loader.chunkLines) - 1
            if isRoundEnd {
                if come.constants { hasConstants = true } else { isFull = true }
            }
            isComing = Self.advance(&come, loader, isRoundEnd)
        }
        if isAsking {
            weightAnswers.append(now + latency)
            let isRoundEnd = ask.round == (ask.constants ? shape.constantLines : loader.chunkLines) - 1
            isAsking = Self.advance(&ask, loader, isRoundEnd)
        }
        if takes, let next {
            loader = next
            (isAsking, isComing) = (true, true)
            ask = (0, 0, 0, false)
            come = (0, 0, 0, false)
        }
    }

    /// Chunks of the first block, constants, chunks of the others.
    ///
    /// - Returns: whether there is more.
    private static func advance(
        _ place: inout (chunk: Int, block: Int, round: Int, constants: Bool), _ command: ArrayCommand,
        _ isRoundEnd: Bool
    ) -> Bool {
        guard isRoundEnd else {
            place.round += 1
            return true
        }
        place.round = 0
        if place.constants {
            place.constants = false
            place.block = 1
            return command.blocks != 1
        }
        place.chunk += 1
        guard place.chunk == command.chunks else { return true }
        place.chunk = 0
        let isFirst = place.block == 0
        place.constants = isFirst
        place.block += 1
        return isFirst || place.block != command.blocks
    }

    // MARK: Results

    private mutating func advanceReading(_ reads: Bool, _ constantsUsed: Bool) {
        // What was taken from the accumulators a clock before.
        let freed = frees
        frees = nil
        var entering: (ends: Bool, writes: Bool)?
        let begins = blocks[readBank] != nil && !hasBegun
        if reads, let block = blocks[readBank] {
            let isBlockEnd = entry == block.reads - 1
            entering = (isBlockEnd && block.last, true)
            entry = isBlockEnd ? 0 : entry + 1
            if isBlockEnd {
                frees = readBank
                readBank = 1 - readBank
                if block.last { (hasBegun, isEnding) = (false, true) }
            }
        }
        if begins {
            hasBegun = true
            entry = 0
        }
        if constantsUsed { isEnding = false }
        if let freed {
            blocks[freed] = nil
            used[freed] = false
        }
        going.removeLast()
        going.insert(entering, at: 0)
    }
}
