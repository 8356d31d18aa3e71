extension UInt64 {
    /// A bit for each of 1 to 64 branches.
    init(allBranches count: Int) { self = .max >> UInt64(64 - count) }
}
