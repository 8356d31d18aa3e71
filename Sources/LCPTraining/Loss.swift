import Glibc

/// What a batch should be recognised as.
struct Targets {
    var labels: [UInt16]
    var smoothing: Float
    /// The teacher's logits, with their weight and temperature.
    var teacher: (logits: Volume, weight: Float, temperature: Float)?
}

/// The loss of the images of a block, and how many were right.
struct BlockLoss {
    var loss = 0.0
    var correct = 0
}

extension Targets {
    /// Cross-entropy with smoothed labels, mixed with the divergence from the teacher's softened probabilities times T²
    /// (Hinton et al., 2015). Leaves the slope of the mean over the batch, times `weight`, where the logits have a gradient.
    func loss(of logits: Value, block: Int, pass: Pass, weight: Float = 1) -> BlockLoss {
        let classes = logits.values.shape.channels
        let lanes = Volume.lanes
        let scores = logits.values.block(block)
        let slopes = logits.gradient?.block(block)
        var result = BlockLoss()
        var exponentials = [Float](repeating: 0, count: classes)
        var softened = [Float](repeating: 0, count: classes)
        let present = Int(pass.lanes(of: block))
        let scale = weight / Float(pass.images)
        let hard = 1 - (teacher?.weight ?? 0)
        for lane in 0..<lanes {
            guard lane < present else {
                if let slopes { for index in 0..<classes { slopes[index * lanes + lane] = 0 } }
                continue
            }
            let label = Int(labels[block * lanes + lane])
            var best = 0
            for index in 1..<classes where scores[index * lanes + lane] > scores[best * lanes + lane] { best = index }
            if best == label { result.correct += 1 }
            let most = scores[best * lanes + lane]
            var (sum, total): (Float, Float) = (0, 0)
            for index in 0..<classes {
                let distance = scores[index * lanes + lane] - most
                exponentials[index] = expf(distance)
                sum += exponentials[index]
                total += distance
            }
            let (logSum, even) = (logf(sum), smoothing / Float(classes))
            // Σ target · log p, with (1 − ε) at the label and ε / C everywhere.
            let entropy =
                logSum - (1 - smoothing) * (scores[label * lanes + lane] - most) - even * total
            result.loss += Double(hard * entropy)
            if let slopes {
                for index in 0..<classes {
                    let target = even + (index == label ? 1 - smoothing : 0)
                    slopes[index * lanes + lane] = scale * hard * (exponentials[index] / sum - target)
                }
            }
            guard let teacher, teacher.weight > 0 else { continue }
            let temperature = teacher.temperature
            let wanted = teacher.logits.block(block)
            var wantedMost = -Float.infinity
            for index in 0..<classes { wantedMost = max(wantedMost, wanted[index * lanes + lane]) }
            var (softSum, wantedSum): (Float, Float) = (0, 0)
            for index in 0..<classes {
                exponentials[index] = expf((scores[index * lanes + lane] - most) / temperature)
                softened[index] = expf((wanted[index * lanes + lane] - wantedMost) / temperature)
                softSum += exponentials[index]
                wantedSum += softened[index]
            }
            let (logSoft, logWanted) = (logf(softSum), logf(wantedSum))
            var divergence: Float = 0
            for index in 0..<classes {
                let probability = softened[index] / wantedSum
                let logWantedProbability = (wanted[index * lanes + lane] - wantedMost) / temperature - logWanted
                let logProbability = (scores[index * lanes + lane] - most) / temperature - logSoft
                divergence += probability * (logWantedProbability - logProbability)
                // T² times a slope of 1 / T.
                slopes?[index * lanes + lane] +=
                    scale * teacher.weight * temperature * (exponentials[index] / softSum - probability)
            }
            result.loss += Double(teacher.weight * temperature * temperature * divergence)
        }
        result.loss *= Double(weight)
        return result
    }
}
