/// The dimensions of a tensor, outermost first: at most ``maximumRank`` of them, stored inline, so that reading a message
/// allocates nothing.
public struct Shape: Sendable, Hashable, ExpressibleByArrayLiteral, CustomStringConvertible {
    /// The most dimensions that a shape can have, as in the tensor message.
    public static let maximumRank = 8

    /// The number of dimensions; 0 is a scalar.
    public let rank: Int
    package let storage: SIMD8<UInt32>

    /// A shape of the given dimensions.
    ///
    /// - Returns: nil for more than ``maximumRank`` dimensions, or one that is negative or over 2³² − 1.
    public init?(_ dimensions: some Collection<Int>) {
        guard dimensions.count <= Self.maximumRank else { return nil }
        var storage = SIMD8<UInt32>()
        for (index, dimension) in dimensions.enumerated() {
            guard let value = UInt32(exactly: dimension) else { return nil }
            storage[index] = value
        }
        self.rank = dimensions.count
        self.storage = storage
    }

    /// A shape written in the source, such as `[28, 28, 1]`. More than ``maximumRank`` or negative dimensions are a
    /// programming error.
    public init(arrayLiteral elements: Int...) {
        var storage = SIMD8<UInt32>()
        for (index, dimension) in elements.enumerated() { storage[index] = UInt32(dimension) }
        self.rank = elements.count
        self.storage = storage
    }

    package init(rank: Int, storage: SIMD8<UInt32>) {
        self.rank = rank
        self.storage = storage
    }

    /// The dimension at `index`, from 0.
    public subscript(index: Int) -> Int { Int(storage[index]) }

    /// The dimensions as an array.
    public var dimensions: [Int] { (0..<rank).map { Int(storage[$0]) } }

    /// The product of the dimensions, or nil where it exceeds `Int.max`.
    public var elementCount: Int? {
        var product = 1
        for index in 0..<rank {
            let (next, overflow) = product.multipliedReportingOverflow(by: Int(storage[index]))
            guard !overflow else { return nil }
            product = next
        }
        return product
    }

    /// The dimensions joined by `×`, for example `28×28×1`; `scalar` for rank 0.
    public var description: String {
        rank == 0 ? "scalar" : dimensions.map(String.init).joined(separator: "×")
    }
}
