/// Networks that answer together, with the mean of their logits (Hansen and Salamon, 1990): more often right than any one of
/// them, and surer of less, so that there is more to learn from them.
public struct Ensemble: Sendable {
    /// All branches of all members, joined by concatenation where there are several members.
    public var network: BranchedNetwork
    public var parameters: ModelParameters

    /// - Parameter members: at least one.
    /// - Throws: ``NetworkError`` where the members take other images or know other classes, or have too many branches together.
    public init(_ members: [(network: BranchedNetwork, parameters: ModelParameters)]) throws(NetworkError) {
        guard let first = members.first else { throw NetworkError("an ensemble has at least one member") }
        for (member, _) in members { try member.refuseParity("learning from a model") }
        (network, parameters) = first
        guard members.count > 1 else { return }
        for (member, _) in members where member.input != network.input || member.classes != network.classes {
            throw NetworkError(
                "networks answer together that take the same images and know the same classes: \(network.base) takes "
                    + "\(network.input) and knows \(network.classes), \(member.base) \(member.input) and \(member.classes)"
            )
        }
        network.merge = .concat
        network.branches = members.flatMap(\.network.branches)
        try network.validate()
        parameters.branches = members.flatMap(\.parameters.branches)
        let share = 1 / Float(members.count)
        var columns: [[Float]] = []
        for (member, own) in members {
            for branch in member.branches.indices {
                columns.append(try member.mergeWeights(of: branch, merge: own.merge).map { $0 * share })
            }
        }
        let classes = network.classes
        parameters.merge.weight = (0..<classes).flatMap { row in
            columns.flatMap { weights in
                let width = weights.count / classes
                return weights[row * width..<(row + 1) * width]
            }
        }
        parameters.merge.bias = (0..<classes).map { row in
            members.reduce(0) { $0 + $1.parameters.merge.bias[row] } * share
        }
    }
}
