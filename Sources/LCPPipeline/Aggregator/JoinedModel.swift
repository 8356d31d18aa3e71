import Glibc
import LCPModels
import LCPWire
import Tensors

/// What the aggregator needs of one version of the model, and the frames that wait for branches in it.
final class JoinedModel {
    let name: String
    let model: ModelHash
    let branchCount: Int
    var allBranches: UInt64 { table.allBranches }
    let classes: Int
    /// For each branch: what it sends, how many numbers, and its columns of W where it sends features.
    let outputs: [(kind: TensorMessageHeader.Kind, count: Int, weights: [Float])]
    private let bias: [Float]
    /// What the sum of the shares is multiplied by, by the number of missing branches.
    private let missingScale: [Float]
    var table: JoinTable
    /// The sum of a frame's shares, and then its probabilities.
    var logits: [Float]
    var writer: PredictionWriter
    /// When features of this model last came.
    var lastUsed: ContinuousClock.Instant?

    init(_ bundle: ModelBundle, deadline: Duration) throws {
        let network = bundle.network
        let merge = try bundle.mergeParameters()
        outputs = try network.branches.indices.map { branch in
            if try network.output(of: branch) == .partialLogits { return (.partialLogits, network.classes, []) }
            return (
                .features, try network.featureCount(of: branch),
                try network.mergeWeights(of: branch, merge: merge)
            )
        }
        name = bundle.manifest.name
        model = bundle.hash
        branchCount = network.branches.count
        classes = network.classes
        bias = merge.bias
        missingScale = bundle.manifest.missingScale ?? Array(repeating: 1, count: network.branches.count)
        table = JoinTable(branchCount: network.branches.count, width: network.classes, deadline: deadline)
        logits = merge.bias
        writer = PredictionWriter(labels: bundle.manifest.labels)
    }

    /// Makes probabilities of the sum of a frame's shares.
    func finish(_ frame: JoinTable.Frame) {
        let factor = missingScale[branchCount - frame.branches.nonzeroBitCount]
        for index in 0..<classes { logits[index] = factor * logits[index] + bias[index] }
        Self.softmax(&logits)
    }

    static func softmax(_ values: inout [Float]) {
        let largest = values.max() ?? 0
        var sum: Float = 0
        for index in values.indices {
            values[index] = expf(values[index] - largest)
            sum += values[index]
        }
        for index in values.indices { values[index] /= sum }
    }
}
