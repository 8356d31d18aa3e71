import LCPModels

/// Which values of a branch have the same scale: a maximum, a ReLU or a dropout only picks numbers of what it reads, and makes
/// none.
///
/// Value 0 is the input, value i + 1 what layer i makes.
struct ValueGroups {
    /// For each value the first of its group.
    private(set) var first: [Int] = [0]
    /// The values that something computes with, and the branch's output.
    private(set) var used: Set<Int> = []

    init(_ layers: [Layer]) {
        var readers = [Int](repeating: 0, count: layers.count + 1)
        for (index, layer) in layers.enumerated() {
            if case .output = layer {} else { readers[index] += 1 }
            for reference in layer.references { readers[reference + 1] += 1 }
        }
        for (index, layer) in layers.enumerated() {
            switch layer {
            case .dropout, .maxPool: first.append(first[index])
            case .output(let other): first.append(first[other + 1])
            // What others read as it was keeps its own scale.
            case .relu where readers[index] == 1, .relu6 where readers[index] == 1: first.append(first[index])
            default:
                first.append(index + 1)
                used.insert(index)
                for reference in layer.references { used.insert(reference + 1) }
            }
        }
        used.insert(layers.count)
    }
}
