/// Where the values of a graph lie in one block of memory; values that are not needed at the same time share their place.
struct BufferPlan {
    /// Of every value, in numbers; a multiple of the unit.
    let offsets: [Int]
    /// Of the whole block, in numbers.
    let count: Int

    /// - Parameters:
    ///   - margin: numbers behind every value that may be read, though they mean nothing.
    ///   - keepsAll: whether all values stay to the end.
    ///   - unit: the numbers of a cache line, so that each value begins one.
    init(_ graph: BranchGraph, margin: Int, keepsAll: Bool = false, unit: Int = 16) {
        var lastUse = Array(0...graph.nodes.count)
        for (index, node) in graph.nodes.enumerated() { for value in node.inputs { lastUse[value] = index } }
        if keepsAll { lastUse = lastUse.map { _ in graph.nodes.count } }
        // The input stays for a second run, the output for the caller.
        lastUse[0] = graph.nodes.count
        lastUse[graph.output] = graph.nodes.count

        var places: [(start: Int, end: Int, lastUse: Int)] = []
        var offsets: [Int] = []
        var count = 0
        for value in 0...graph.nodes.count {
            let size = (graph.shape(of: value).elementCount + margin + unit - 1) / unit * unit
            // What the operation reads must not lie where it writes.
            places.removeAll { $0.lastUse < value - 1 }
            var start = 0
            for place in places.sorted(by: { $0.start < $1.start }) where place.start < start + size {
                start = max(start, place.end)
            }
            offsets.append(start)
            places.append((start, start + size, lastUse[value]))
            count = max(count, start + size)
        }
        self.offsets = offsets
        self.count = count
    }
}
