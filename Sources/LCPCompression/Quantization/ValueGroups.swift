import LCPModels

/// Which values of a branch have the same scale: a maximum, a ReLU, some channels or a dropout only pick numbers of what they
/// read, and make none.
///
/// Value 0 is the input, value i + 1 what layer i makes.
struct ValueGroups {
    /// For each value the first of its group.
    private(set) var first: [Int] = [0]
    /// The values that something computes with, and the branch's output.
    private(set) var used: Set<Int> = []

    init(_ layers: [Layer]) {
        // The value that each is the same as, and how many layers read that.
        var same = [0]
        for (index, layer) in layers.enumerated() {
            switch layer {
            case .dropout: same.append(same[index])
            case .output(let other): same.append(same[other + 1])
            default: same.append(index + 1)
            }
        }
        var readers = [Int](repeating: 0, count: layers.count + 1)
        for (index, layer) in layers.enumerated() where same[index + 1] == index + 1 {
            readers[same[index]] += 1
            for reference in layer.references { readers[same[reference + 1]] += 1 }
        }
        for (index, layer) in layers.enumerated() {
            let isOnlyReader = readers[same[index]] == 1
            switch layer {
            case .dropout, .maxPool, .slice, .shuffle: first.append(first[index])
            case .output(let other): first.append(first[other + 1])
            // What others read as it was keeps its own scale.
            case .relu where isOnlyReader, .relu6 where isOnlyReader: first.append(first[index])
            default:
                first.append(index + 1)
                used.insert(index)
                for reference in layer.references { used.insert(reference + 1) }
            }
        }
        used.insert(layers.count)
    }
}
