/// A command of the array: a walk over a feature map, the chunks of products that every step adds up, and what becomes of the sums.
///
/// Addresses are lines, places in a row words. `Documentation/hardware.md` defines the fields, `Hardware/rtl/lcp_command.svh` where
/// they lie.
struct ArrayCommand: Sendable, Hashable {
    /// Whether everything before it has to be written first.
    var waits = false
    var interrupts = false
    /// Whether the sums themselves are written, and not what becomes of them.
    var isRaw = false
    /// Whether the sums are only shifted.
    var isDirect = false
    /// Whether what was added up counts 2^word times when the outer loop of the chunks goes on.
    var shifts = false
    /// Groups of columns, each a step to the right of the one before: 1, 2, 4 or 8.
    var groups = 1
    /// Lines that are written for a step.
    var parts = 1
    /// What lies around the map.
    var pad = 0

    /// Of the map's row where the walk begins, which may lie before the map.
    var inputLine = 0
    /// The first word of the walk in its row.
    var inputX = 0
    var inputY = 0
    /// Of the map.
    var inputRows = 1
    var inputWords = 0

    // The chunks: outer times inner.
    var inners = 1
    var innerX = 0
    var innerLine = 0
    var outers = 1
    var outerRow = 0
    var outerLine = 0

    // The walk: steps down of steps to the right of windows.
    var windowWidth = 1
    var windowHeight = 1
    var windowStep = 0
    var windowRow = 0
    var windowLine = 0
    var stepsX = 1
    var stepX = 0
    var stepsY = 1
    var stepRow = 0
    var stepLine = 0
    /// Words from one group of columns to the next.
    var groupStep = 0
    /// Steps of a block.
    var block = 1

    var weightLine = 0
    var constantLine = 0
    /// Lines of a chunk's weights.
    var chunkLines = 1

    var outputLine = 0
    /// Lines from a row to the next, from a step to the next, from a part to the next.
    var outputRow = 0
    var outputStep = 0
    var outputPart = 0
    var least = 0
    var most = 0
    var zero = 0

    var chunks: Int { inners * outers }
    var window: Int { windowWidth * windowHeight }
    /// Steps of the whole walk.
    var steps: Int { window * stepsX * stepsY }
    var blocks: Int { (steps + block - 1) / block }

    static let wordCount = 23

    /// As the array reads it.
    ///
    /// - Throws: ``HardwareError`` where a number has more bits than its field.
    func words() throws(HardwareError) -> [UInt32] {
        var words = [UInt32](repeating: 0, count: Self.wordCount)
        func put(_ name: String, _ value: Int, _ word: Int, _ low: Int, _ bits: Int, signed: Bool = false)
            throws(HardwareError)
        {
            let range = signed ? -(1 << (bits - 1))...((1 << (bits - 1)) - 1) : 0...((1 << bits) - 1)
            guard range.contains(value) else {
                throw HardwareError("the array's commands have \(bits) bits for \(name), and \(value) needs more")
            }
            words[word] |= UInt32(truncatingIfNeeded: value & ((1 << bits) - 1)) << UInt32(low)
        }
        try put("a flag", waits ? 1 : 0, 0, 0, 1)
        try put("a flag", interrupts ? 1 : 0, 0, 1, 1)
        try put("a flag", isRaw ? 1 : 0, 0, 2, 1)
        try put("a flag", isDirect ? 1 : 0, 0, 3, 1)
        try put("a flag", shifts ? 1 : 0, 0, 4, 1)
        try put("groups of columns", groups.trailingZeroBitCount, 0, 5, 2)
        try put("lines of a step", parts - 1, 0, 8, 8)
        try put("the padding", pad, 0, 16, 16, signed: true)
        try put("a line of a feature map", inputLine & 0xFF_FFFF, 1, 0, 24)
        try put("a place in a row", inputX, 2, 0, 18, signed: true)
        try put("a row", inputY, 3, 0, 16, signed: true)
        try put("rows of a feature map", inputRows, 3, 16, 15)
        try put("words of a row", inputWords, 4, 0, 17)
        try put("words to a chunk", innerX, 5, 0, 18, signed: true)
        try put("lines to a chunk", innerLine & 0xFF_FFFF, 6, 0, 24)
        try put("lines to a chunk", outerLine & 0xFF_FFFF, 7, 0, 24)
        try put("rows to a chunk", outerRow, 7, 24, 8, signed: true)
        try put("chunks", inners - 1, 8, 0, 16)
        try put("chunks", outers - 1, 8, 16, 16)
        try put("the width of a window", windowWidth - 1, 9, 0, 4)
        try put("the height of a window", windowHeight - 1, 9, 4, 4)
        try put("steps to the right", stepsX - 1, 9, 8, 10)
        try put("steps down", stepsY - 1, 9, 18, 10)
        try put("words of a window's step", windowStep, 10, 0, 18, signed: true)
        try put("words of a step", stepX, 11, 0, 18, signed: true)
        try put("lines of a window's step", windowLine & 0xFF_FFFF, 12, 0, 24)
        try put("rows of a window's step", windowRow, 12, 24, 8, signed: true)
        try put("lines of a step", stepLine & 0xFF_FFFF, 13, 0, 24)
        try put("rows of a step", stepRow, 13, 24, 8, signed: true)
        try put("steps of a block", block - 1, 14, 0, 8)
        try put("words from group to group", groups > 1 ? groupStep : 0, 14, 8, 8)
        try put("blocks", blocks, 14, 16, 16)
        try put("a line of weights", weightLine, 15, 0, 24)
        try put("a line of constants", constantLine, 16, 0, 24)
        try put("lines of a chunk", chunkLines - 1, 17, 0, 8)
        try put("chunks", chunks - 1, 17, 8, 24)
        try put("a line of a feature map", outputLine, 18, 0, 24)
        try put("lines of a row", outputRow, 19, 0, 24)
        try put("lines of a step", outputStep, 20, 0, 16)
        try put("lines of a part", outputPart, 20, 16, 16)
        try put("a bound", least, 21, 0, 16, signed: true)
        try put("a bound", most, 21, 16, 16, signed: true)
        try put("a zero", zero, 22, 0, 16, signed: true)
        return words
    }
}
