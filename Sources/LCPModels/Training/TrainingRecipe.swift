import Platform

/// How a network is trained, as data: what a preset names, a configuration file holds and a bundle remembers.
public struct TrainingRecipe: Sendable, Hashable, Codable {
    public enum Optimizer: String, Sendable, Hashable, Codable, CaseIterable {
        /// Stochastic gradient descent with Nesterov's momentum; decay is L2.
        case sgd
        /// Adam (Kingma and Ba, 2015); decay is L2.
        case adam
        /// Adam with decoupled decay (Loshchilov and Hutter, 2019).
        case adamW = "adamw"
        /// Muon for all weights that mix channels (Jordan et al., 2024), with AdamW for the classification layer, biases and
        /// normalisations.
        case muon
    }
    public enum Schedule: String, Sendable, Hashable, Codable, CaseIterable {
        case constant
        /// Up in a straight line over the first part of all steps, down as a cosine (Smith and Topin, 2018).
        case oneCycle = "one-cycle"
        /// Down as a cosine from the first step.
        case cosine
        /// Times a factor every few epochs, in one stroke.
        case exponential
    }
    public enum Initialization: String, Sendable, Hashable, Codable, CaseIterable {
        /// Uniform with He's variance (He et al., 2015).
        case he
        /// Normal with standard deviation 0.04, the paper's.
        case normal
        /// Every branch begins with its share of the teacher's channels, and what connects them.
        case teacher
    }

    /// The preset that it came from.
    public var name = "custom"
    public var epochs = 20
    /// Images per step.
    public var batchSize = 64
    public var optimizer = Optimizer.adamW
    /// The highest.
    public var learningRate: Float = 3e-3
    public var schedule = Schedule.oneCycle
    /// The part of all steps in which a one-cycle schedule rises.
    public var warmup: Float = 0.1
    /// An exponential schedule's factor, and after how many epochs it applies.
    public var decayFactor: Float = 0.94
    public var decayEpochs = 2
    /// SGD's momentum, Muon's, and Adam's β₁.
    public var momentum: Float = 0.9
    /// Adam's β₂.
    public var beta2: Float = 0.99
    public var weightDecay: Float = 1e-4
    public var labelSmoothing: Float = 0
    public var initialization = Initialization.he
    /// The decay of a running average of the weights, which is what training gives in the end; 0 for none.
    public var averaging: Float = 0
    /// Epochs without a better validation accuracy after which training stops; 0 for never.
    public var patience = 0

    /// Pixels by which images are shifted at most, what comes in being black.
    public var shift = 0
    /// Whether images are mirrored, left to right, half of the time.
    public var flips = false
    /// The side of a square that is blacked out; 0 for none (DeVries and Taylor, 2017).
    public var cutout = 0
    /// How far images are turned (radians), sheared and scaled at most.
    public var rotation: Float = 0
    public var shear: Float = 0
    public var scaling: Float = 0
    /// The standard deviation of the noise that a signal's normalised numbers get.
    public var noise: Float = 0
    /// Images are written as JPEG of a quality by chance and read again, before all else: the network learns to bear it.
    public var jpeg = JPEGQualities.none

    /// The probability that a branch is missing for an image.
    public var branchDropout: Float = 0
    /// The weight of every branch's own classification layer in the loss, and the fraction of training after which it has
    /// faded out; 1 for a weight that stays.
    public var auxiliaryWeight: Float = 0
    public var auxiliaryUntil: Float = 1
    /// The part of what the branches' own heads learn that is the answer of all branches together, softened (Zhang et al., 2018,
    /// with the branches as each other's teachers).
    public var mutual: Float = 0
    /// Whether every branch sees its own augmentation of an image.
    public var views = false
    /// The weight of the teacher's logits in the loss, and the temperature (Hinton et al., 2015); 0 for no teacher.
    public var distillation: Float = 0
    public var temperature: Float = 4
    /// The weight of the distance from the teacher's pre-final activations, where there are as many.
    public var featureDistillation: Float = 0

    public init() {}

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name, epochs, optimizer, schedule, warmup, momentum, beta2, initialization, averaging, patience, shift,
            flips
        case cutout, rotation, shear, scaling, noise, jpeg, mutual, views, distillation, temperature
        case batchSize = "batch_size"
        case learningRate = "learning_rate"
        case decayFactor = "decay_factor"
        case decayEpochs = "decay_epochs"
        case weightDecay = "weight_decay"
        case labelSmoothing = "label_smoothing"
        case branchDropout = "branch_dropout"
        case auxiliaryWeight = "auxiliary_weight"
        case auxiliaryUntil = "auxiliary_until"
        case featureDistillation = "feature_distillation"
    }

    /// What is left out has its default.
    public init(from decoder: any Decoder) throws {
        self.init()
        let values = try decoder.container(keyedBy: CodingKeys.self)
        func read<T: Decodable>(_ key: CodingKeys, _ path: WritableKeyPath<Self, T>) throws {
            if let value = try values.decodeIfPresent(T.self, forKey: key) { self[keyPath: path] = value }
        }
        try read(.name, \.name)
        try read(.epochs, \.epochs)
        try read(.batchSize, \.batchSize)
        try read(.optimizer, \.optimizer)
        try read(.learningRate, \.learningRate)
        try read(.schedule, \.schedule)
        try read(.warmup, \.warmup)
        try read(.decayFactor, \.decayFactor)
        try read(.decayEpochs, \.decayEpochs)
        try read(.momentum, \.momentum)
        try read(.beta2, \.beta2)
        try read(.weightDecay, \.weightDecay)
        try read(.labelSmoothing, \.labelSmoothing)
        try read(.initialization, \.initialization)
        try read(.averaging, \.averaging)
        try read(.patience, \.patience)
        try read(.shift, \.shift)
        try read(.flips, \.flips)
        try read(.cutout, \.cutout)
        try read(.rotation, \.rotation)
        try read(.shear, \.shear)
        try read(.scaling, \.scaling)
        try read(.noise, \.noise)
        try read(.jpeg, \.jpeg)
        try read(.branchDropout, \.branchDropout)
        try read(.auxiliaryWeight, \.auxiliaryWeight)
        try read(.auxiliaryUntil, \.auxiliaryUntil)
        try read(.mutual, \.mutual)
        try read(.views, \.views)
        try read(.distillation, \.distillation)
        try read(.temperature, \.temperature)
        try read(.featureDistillation, \.featureDistillation)
    }

    /// The paper's: Adam with β₂ 0.99, 1e-2 times 0.94 every two epochs, L2 of 5e-4, N(0, 0.04), no augmentation.
    public static let paper: TrainingRecipe = {
        var recipe = TrainingRecipe()
        recipe.name = "paper"
        recipe.epochs = 24
        recipe.optimizer = .adam
        recipe.learningRate = 1e-2
        recipe.schedule = .exponential
        recipe.weightDecay = 5e-4
        recipe.initialization = .normal
        return recipe
    }()

    /// Ours for grey digits: AdamW in one cycle, small turns, shifts and scales, a running average of the weights, branches
    /// that learn to do without each other.
    public static let digits: TrainingRecipe = {
        var recipe = TrainingRecipe()
        recipe.name = "digits"
        recipe.epochs = 60
        recipe.learningRate = 4e-3
        recipe.averaging = 0.999
        recipe.shift = 1
        recipe.rotation = 0.1
        recipe.shear = 0.08
        recipe.scaling = 0.08
        recipe.branchDropout = 0.1
        return recipe
    }()

    /// Ours for coloured pictures: Muon in one cycle, small shifts and mirrors, smoothed labels, a running average of the weights.
    public static let pictures: TrainingRecipe = {
        var recipe = TrainingRecipe()
        recipe.name = "pictures"
        recipe.epochs = 30
        recipe.batchSize = 128
        recipe.optimizer = .muon
        recipe.learningRate = 1.5e-2
        recipe.momentum = 0.95
        recipe.weightDecay = 5e-2
        recipe.labelSmoothing = 0.05
        recipe.averaging = 0.999
        recipe.shift = 2
        recipe.flips = true
        return recipe
    }()

    /// Ours for branches of a network for coloured pictures that learn from the network in one piece.
    public static let taught = pictures.taught()

    /// Ours for windows of a signal and for records: Muon in one cycle, noise, smoothed labels, a running average of the weights.
    public static let signals: TrainingRecipe = {
        var recipe = pictures
        recipe.name = "signals"
        recipe.batchSize = 32
        recipe.averaging = 0.99
        (recipe.shift, recipe.flips) = (0, false)
        recipe.noise = 0.1
        return recipe
    }()

    /// The recipes that can be named on the command line.
    public static let presets: [TrainingRecipe] = [.paper, .digits, .pictures, .signals, .taught]

    /// Ours for a network by its inputs: grey digits, coloured pictures or signals.
    public static func usual(for network: BranchedNetwork) -> TrainingRecipe {
        if network.input.height == 1 || network.base == Network.dscnn.name { return .signals }
        return network.input.channels == 1 ? .digits : .pictures
    }

    /// The preset of a name for a network: `taught` is the usual recipe for such images with a teacher.
    ///
    /// - Throws: ``NetworkError`` that lists the presets where none has the name.
    public static func preset(_ name: String, for network: BranchedNetwork) throws(NetworkError) -> TrainingRecipe {
        if name == taught.name {
            return usual(for: network).taught(isNormalized: network.branches[0].contains { $0.hasStatistics })
        }
        guard let preset = presets.first(where: { $0.name == name }) else {
            throw NetworkError(
                "there is no recipe \(name.quoted): there are \(presets.map(\.name).joined(separator: ", "))")
        }
        return preset
    }

    /// The recipe for branches that learn from the network in one piece: each begins as its share of the teacher, they learn the
    /// teacher's softened answers more than the labels, and to do without each other.
    ///
    /// - Parameter isNormalized: whether the network has batch normalisation. Without, a share is out of scale, since the
    ///   connections to the others' channels are missing, and branches begin better with random weights (LeNet in 4 branches
    ///   after 15 epochs, images set aside: 98.5 and 99.0 %).
    public func taught(isNormalized: Bool = true) -> TrainingRecipe {
        var recipe = self
        recipe.name = name == Self.pictures.name && isNormalized ? "taught" : "\(name) taught"
        if isNormalized { recipe.initialization = .teacher }
        recipe.distillation = 0.9
        recipe.branchDropout = 0.2
        return recipe
    }

    /// Whether anything is learned from a teacher's answers or features.
    public var distils: Bool { distillation > 0 || featureDistillation > 0 }

    /// Whether anything is learned from a teacher, or its weights are what training begins with.
    public var hasTeacher: Bool { distils || initialization == .teacher }

    /// Checks that every number is possible.
    ///
    /// - Throws: ``NetworkError`` that names the first one that is not.
    public func validate() throws(NetworkError) {
        func check(_ holds: Bool, _ sentence: String) throws(NetworkError) {
            if !holds { throw NetworkError(sentence) }
        }
        try check((1...100_000).contains(epochs), "epochs are 1 to 100,000, not \(epochs)")
        try check((1...65_536).contains(batchSize), "a batch has 1 to 65,536 images, not \(batchSize)")
        try check(learningRate.isFinite && learningRate > 0, "a learning rate is above 0, not \(learningRate)")
        try check(decayEpochs > 0, "a learning rate decays every 1 or more epochs, not \(decayEpochs)")
        try check(patience >= 0, "patience is 0 or more epochs, not \(patience)")
        for (name, value) in [
            ("momentum", momentum), ("beta2", beta2), ("averaging", averaging), ("branch dropout", branchDropout),
            ("label smoothing", labelSmoothing), ("scaling", scaling),
        ] { try check(value >= 0 && value < 1, "\(name) is 0 to below 1, not \(value)") }
        for (name, value) in [
            ("warmup", warmup), ("decay factor", decayFactor), ("distillation", distillation),
            ("the end of the auxiliary heads", auxiliaryUntil), ("mutual learning", mutual),
        ] { try check(value >= 0 && value <= 1, "\(name) is 0 to 1, not \(value)") }
        for (name, value) in [
            ("weight decay", weightDecay), ("the weight of the auxiliary heads", auxiliaryWeight),
            ("feature distillation", featureDistillation), ("rotation", rotation), ("shear", shear), ("noise", noise),
        ] { try check(value >= 0 && value.isFinite, "\(name) is 0 or more, not \(value)") }
        try check(
            mutual == 0 || auxiliaryWeight > 0,
            "branches learn from each other by heads of their own: give auxiliary_weight, too, for example 0.3")
        try check(temperature > 0 && temperature.isFinite, "a temperature is above 0, not \(temperature)")
        try check((0...4096).contains(shift), "images are shifted by 0 to 4096 pixels, not \(shift)")
        try check((0...4096).contains(cutout), "a cutout has 0 to 4096 pixels, not \(cutout)")
    }

    /// The learning rate of a step, from 0.
    public func learningRate(step: Int, stepsPerEpoch: Int) -> Float {
        let total = stepsPerEpoch * epochs
        switch schedule {
        case .constant: return learningRate
        case .exponential:
            let strokes = step / max(1, stepsPerEpoch * decayEpochs)
            return (0..<strokes).reduce(learningRate) { rate, _ in rate * decayFactor }
        case .cosine, .oneCycle:
            let rise = schedule == .oneCycle ? max(1, Int(Float(total) * warmup)) : 0
            if step < rise { return learningRate * Float(step + 1) / Float(rise) }
            let position = Double(step - rise) / Double(max(1, total - rise))
            return learningRate * Float(0.5 * (1 + cosine(.pi * position)))
        }
    }
}

/// The cosine of 0…π by its series around the nearer end or the middle; the same on every system.
private func cosine(_ angle: Double) -> Double {
    let x = angle - .pi / 2
    var (term, sum) = (x, x)
    for n in 1..<12 {
        term *= -x * x / Double((2 * n) * (2 * n + 1))
        sum += term
    }
    return -sum
}
