import LCPDatasets
import LCPModels
import Platform
import Signals

/// What is trained on, what is set aside, and what is tested on.
extension TrainingRun {
    /// Whether images have the size that the network takes, as far as that is known before they are read.
    func checkSizes() throws(TrainingError) {
        for specification in data {
            guard specification.isSignal == (data[0].isSignal || pictures?.signal != nil) else {
                throw TrainingError(
                    "\(specification.name) has \(specification.isSignal ? "numbers" : "pictures"), and the network takes "
                        + (specification.isSignal ? "pictures" : "numbers"))
            }
            guard let own = specification.size, !own.hasDimensions(of: size) else { continue }
            throw TrainingError(
                "the images of \(specification.name) are \(own), and \(network.base) takes \(size): "
                    + "choose other data, or with lcp train another --input")
        }
    }

    /// The images that nobody trains on, read before the first epoch: what is wrong with them is not told after the last.
    func testSets(_ labels: [String], _ signal: Signal?) throws -> [(
        data: DataSpecification, images: LabeledImages
    )] {
        try data.filter(\.hasTestSet).map { specification in
            var tested = specification
            if case .drawn = specification { tested = .drawn(count: 10_000) }
            var images = try tested.evaluationSet(seed: 1, size: size, signal: signal)
            try images.match(specification.classNames(isTest: true), to: labels, data: specification.name, model: name)
            return (specification, images)
        }
    }

    func fixedSets(_ labels: [String]) throws -> (training: [LabeledImages?], validation: TrainingSet?) {
        var held = TrainingSet(pixels: [], labels: [])
        var sets: [LabeledImages?] = []
        try checkSizes()
        for specification in data {
            if case .drawn(let count) = specification {
                sets.append(nil)
                let number = Int(Double(count) * validation)
                guard number > 0 else { continue }
                // Digits of an epoch that training never reaches.
                let drawn = DrawnDigits(trainingSeed: seed, epoch: 99_999).images(number)
                held.pixels += drawn.pixels
                held.labels += drawn.labels
                continue
            }
            let signal = pictures?.signal ?? sets.lazy.compactMap { $0?.signal }.first
            var set = try specification.trainingSet(seed: seed, size: size, signal: signal)
            try set.match(specification.classNames(), to: labels, data: specification.name, model: name)
            let number = Int(Double(set.count) * validation)
            guard number > 0 else {
                sets.append(set)
                continue
            }
            // Always the same images, so that runs with different seeds choose by the same ones.
            var (training, kept) = try set.split(validation: number, seed: 1)
            (training.leftOut, training.notes) = (set.leftOut, set.notes)
            sets.append(training)
            held.pixels += kept.pixels
            held.labels += kept.labels
        }
        guard validation == 0 || !held.labels.isEmpty else {
            throw TrainingError(
                "the part \(validation) of the images for validation is not a single one: take a larger part")
        }
        return (sets, held.labels.isEmpty ? nil : held)
    }

    func trainingSet(_ fixed: [LabeledImages?], epoch: Int) throws -> TrainingSet {
        var set = TrainingSet(pixels: [], labels: [])
        for (specification, images) in zip(data, fixed) {
            let images = try images ?? specification.trainingSet(seed: seed, epoch: epoch, size: size)
            if set.labels.isEmpty {
                set = TrainingSet(pixels: images.pixels, labels: images.labels)
            } else {
                set.pixels += images.pixels
                set.labels += images.labels
            }
        }
        return set
    }

    /// Some of the training images of the first epoch, chosen at random.
    func sample(_ fixed: [LabeledImages?], count: Int) throws -> TrainingSet {
        var set = TrainingSet(pixels: [], labels: [])
        for (index, fixed) in fixed.enumerated() {
            let number = count / data.count
            let images: LabeledImages
            if let all = fixed {
                var random = SeededGenerator(seed: seed, stream: UInt64(index))
                images = all.selecting((0..<min(number, all.count)).map { _ in random.index(all.count) })
            } else {
                images = DrawnDigits(trainingSeed: seed, epoch: 0).images(number)
            }
            set.pixels += images.pixels
            set.labels += images.labels
        }
        return set
    }
}
