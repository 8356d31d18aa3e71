import LCPModels
import Platform

/// The memory that a training takes.
enum TrainingMemory {
    /// A network too large for this machine is told now and not when memory runs out: parameters, gradients and what the
    /// optimizer keeps of each, and every feature map of a batch with its gradient.
    static func check(
        _ network: BranchedNetwork, _ recipe: TrainingRecipe, teacher: BranchedNetwork?
    ) throws {
        guard let free = SystemMemory.available else { return }
        let images = (recipe.batchSize + Volume.lanes - 1) / Volume.lanes * Volume.lanes
        func featureMaps(_ network: BranchedNetwork) throws -> Int {
            var total = 0
            for branch in network.branches.indices {
                total += try network.shapes(of: branch).reduce(0) { $0 + $1.elementCount }
            }
            return total
        }
        let kept = [.sgd: 1, .muon: 5][recipe.optimizer, default: 2]
        let copies = 2 + kept + (recipe.averaging > 0 ? 1 : 0)
        var needed =
            Double(try network.parameterCount()) * Double(copies) + Double(images) * Double(try featureMaps(network))
            * 2
        if let teacher {
            needed += Double(try teacher.parameterCount()) + Double(images) * Double(try featureMaps(teacher))
        }
        needed *= 4
        guard needed > Double(free) else { return }
        let gigabytes = { (bytes: Double) in "\((bytes / 1e8).rounded() / 10) GB" }
        throw TrainingError(
            "training \(network.base) in \(network.branches.count) branches takes about \(gigabytes(needed)) of memory, and this "
                + "machine has \(gigabytes(Double(free))) free: take a smaller --batch, more branches, or another machine"
        )
    }
}
