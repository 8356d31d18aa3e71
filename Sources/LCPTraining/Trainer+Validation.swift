import LCPModels

extension Trainer {
    /// Loss and accuracy of the present weights on images as they are, with all branches; for a parity branch each with another of
    /// the branches missing that it stands in for.
    func evaluate(_ set: TrainingSet) throws(TrainingError) -> (loss: Double, accuracy: Double) {
        var total = BlockLoss()
        try forEachBatch(set) { images in
            let pass = Pass(isTraining: false, images: images.count)
            let targets = Targets(labels: images.map { set.labels[$0] }, smoothing: 0, teacher: nil)
            let missing = others.map { others in images.map { UInt64(1) << UInt64($0 % others.count) } } ?? []
            for block in 0..<(images.count + Volume.lanes - 1) / Volume.lanes {
                let loss = loss(targets, block, pass, missing: missing)
                total.loss += loss.loss
                total.correct += loss.correct
            }
        }
        let count = Double(set.labels.count)
        return (total.loss / count, Double(total.correct) / count)
    }

    /// What the weights that training gives are right on, with all branches and with each one missing.
    func result(on set: TrainingSet) throws -> RecipeChooser.Result {
        try optimizer.withAverage {
            let merge = graph.modelParameters.merge
            let (shares, count) = (try BranchShares(network, merge), network.branches.count)
            // Those that are there speak for the one that is not.
            let factor = Float(count) / Float(max(1, count - 1))
            var right: [Bool] = []
            var rightWithout = 0
            var share = [Float](repeating: 0, count: network.classes)
            try forEachBatch(set) { images in
                for (index, image) in images.enumerated() {
                    let (block, lane) = (index / Volume.lanes, index % Volume.lanes)
                    let values = graph.logits.values.block(block)
                    let logits = share.indices.map { values[$0 * Volume.lanes + lane] }
                    let label = Int(set.labels[image])
                    right.append(Self.isRight(logits, label))
                    guard count > 1 else { continue }
                    for branch in 0..<count {
                        share.withUnsafeMutableBufferPointer {
                            shares.share(of: branch, in: graph, block: block, lane: lane, into: $0)
                        }
                        let left = logits.indices.map {
                            factor * (logits[$0] - merge.bias[$0] - share[$0]) + merge.bias[$0]
                        }
                        if Self.isRight(left, label) { rightWithout += 1 }
                    }
                }
            }
            let oneMissing = Double(rightWithout) / Double(count * set.labels.count)
            return RecipeChooser.Result(right: right, oneMissing: count > 1 ? oneMissing : nil)
        }
    }

    private static func isRight(_ logits: [Float], _ label: Int) -> Bool {
        logits.indices.max { logits[$0] < logits[$1] } == label
    }

    /// Runs forward on batch after batch of images as they are, and hands over the places of each in the set.
    private func forEachBatch(_ set: TrainingSet, _ body: ([Int]) -> Void) throws(TrainingError) {
        let loader = ImageLoader(
            shape: network.input, preprocessing: preprocessing, recipe: recipe, augments: false)
        let count = set.labels.count
        guard count > 0 else { throw TrainingError("there are no images to validate with") }
        for mask in graph.masks { mask.factors.pointer.update(repeating: 1, count: mask.factors.count) }
        let teacher = others == nil ? nil : teacher
        let teacherLoader = teacher.map { _ in loader.normalizing(teacherPreprocessing) }
        for start in stride(from: 0, to: count, by: recipe.batchSize) {
            let images = Array(start..<min(count, start + recipe.batchSize))
            let pass = Pass(isTraining: false, images: images.count)
            team.run { [graph] thread in
                let mine = graph.blocks(of: thread).clamped(to: 0..<(images.count + Volume.lanes - 1) / Volume.lanes)
                load(set, images, loader, teacherLoader, mine, epoch: 0, first: start)
                graph.forward(pass, thread: thread)
                teacher?.forward(pass, thread: thread)
            }
            body(images)
        }
    }
}
