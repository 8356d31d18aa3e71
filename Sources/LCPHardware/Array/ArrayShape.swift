/// How large the systolic array is, and what it computes in: the parameters of `Hardware/rtl/lcp_array.sv`.
public struct ArrayShape: Sendable, Hashable {
    /// What a number is.
    public enum Word: String, Sendable, Hashable, CaseIterable {
        /// Eight bits with a scale and a zero.
        case int8
        /// Sixteen bits, 13 of them behind the point.
        case q3_13 = "q3.13"

        public var bits: Int { self == .int8 ? 8 : 16 }
    }

    /// Cells that a column adds up, and the words of a line of memory: a power of two.
    public var rows: Int
    /// Sums that are made at the same time: a multiple of the rows and of eight.
    public var columns: Int
    public var word: Word
    /// Sums that a column adds up in turns: a power of two.
    public var entries: Int
    /// Lines of a feature map that are read together.
    public var lines: Int
    /// Columns that get their weights in one clock.
    public var together: Int

    /// - Parameter together: nil for 4, or fewer where a block has fewer columns.
    /// - Throws: ``HardwareError`` for an array that cannot be built.
    public init(
        rows: Int = 32, columns: Int = 64, word: Word = .int8, entries: Int = 64, lines: Int = 5, together: Int? = nil
    ) throws(HardwareError) {
        let fits = Self.together(rows: rows, columns: columns, word: word)
        let together = together ?? fits.last { $0 <= 4 } ?? fits.first ?? 1
        (self.rows, self.columns, self.word) = (rows, columns, word)
        (self.entries, self.lines, self.together) = (entries, lines, together)
        guard (4...128).contains(rows), rows.nonzeroBitCount == 1 else {
            throw HardwareError("an array has 4, 8, 16, 32, 64 or 128 rows, and not \(rows)")
        }
        guard (8...512).contains(columns), columns.isMultiple(of: rows), columns.isMultiple(of: Self.blocks) else {
            throw HardwareError(
                "an array of \(rows) rows has a multiple of \(max(rows, 8)) columns up to 512, and not \(columns)")
        }
        guard (4...256).contains(entries), entries.nonzeroBitCount == 1 else {
            throw HardwareError("a column adds up 4, 8, 16 … 256 sums in turns, and not \(entries)")
        }
        guard (2...8).contains(lines) else {
            throw HardwareError("2 to 8 lines of a feature map are read together, and not \(lines)")
        }
        guard fits.contains(together) else {
            let (block, size) = (columns / Self.blocks, "\(rows) × \(columns)")
            throw HardwareError(
                fits.isEmpty
                    ? "\(size) cells of \(word.bits) bits cannot get their weights in whole words of \(Self.constantBits) bits: "
                        + "choose more rows, or columns that are a multiple of \(2 * Self.blocks)"
                    : "of the \(block) columns of a block \(fits.map(String.init).joined(separator: ", ")) can get their weights "
                        + "together, and not \(together)")
        }
    }

    /// How many columns can get their weights together: a part of a block whose weights are whole constants.
    private static func together(rows: Int, columns: Int, word: Word) -> [Int] {
        let block = columns / blocks
        guard block > 0 else { return [] }
        return (1...block).filter {
            block.isMultiple(of: $0) && ($0 * rows * word.bits).isMultiple(of: constantBits)
        }
    }

    /// Columns that read the same words, at the least.
    static let blocks = 8
    /// Of a column's bias, multiplier and shift.
    static let constantBits = 64

    /// Lines that the columns' results are.
    var parts: Int { columns / rows }
    /// Words of a line of weights.
    var weightWords: Int { together * rows }
    /// Lines of a command's constants.
    var constantLines: Int {
        let columnsInLine = weightWords * word.bits / Self.constantBits
        return (columns + columnsInLine - 1) / columnsInLine
    }
    /// Words that are read together.
    var region: Int { lines * rows }
    /// Multiplications in a clock.
    public var cells: Int { rows * columns }
    /// For people.
    public var size: String { "\(rows) × \(columns)" }
    var wordBytes: Int { word.bits / 8 }
    /// Words of a raw sum.
    var pieces: Int { word == .int8 ? 4 : 3 }
}

extension Duration {
    /// Milliseconds with three digits behind the point, for people.
    var text: String { "\((milliseconds * 1000).rounded() / 1000)" }

    /// So many clocks.
    public init(clocks: Int, megahertz: Double) {
        self = .nanoseconds(Int64((Double(clocks) * 1000 / megahertz).rounded()))
    }
}

/// What the array cannot do, or a simulation that failed: one sentence.
public struct HardwareError: Error, Hashable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
