#if Training
import Glibc
public import LCPModels
import Tensors

/// Images to train on: UINT8, HWC, one after the other, and their classes.
public struct TrainingSet: Sendable {
    public var pixels: [UInt8]
    public var labels: [UInt8]

    public init(pixels: [UInt8], labels: [UInt8]) {
        self.pixels = pixels
        self.labels = labels
    }
}

/// What training is told. The defaults train LeNet.
public struct TrainingOptions: Sendable {
    public var epochs = 20
    public var batchSize = 64
    /// The highest learning rate: it rises for the first tenth of the steps and falls as a cosine to nothing.
    public var learningRate: Float = 3e-3
    public var weightDecay: Float = 1e-4
    /// Everything random comes from it.
    public var seed: UInt64 = 1
    /// Turn, scale and shift every image a little, anew in each epoch.
    public var augments = true

    public init() {}
}

/// How far training is.
public struct TrainingProgress: Sendable {
    /// From 1.
    public var epoch: Int
    public var epochs: Int
    /// 0 to 1, of everything.
    public var fraction: Double
    /// Of this epoch so far.
    public var loss: Double
    public var accuracy: Double
    public var imagesPerSecond: Double
    /// Until the end, seconds.
    public var remaining: Double
    public var isEndOfEpoch: Bool
}

/// Trains all branches of a network together, end to end.
public final class Trainer {
    private let network: BranchedNetwork
    private let preprocessing: ModelManifest.Preprocessing
    private let options: TrainingOptions
    private let graph: TrainingGraph
    private var random: SeededGenerator

    /// Prepares training with fresh weights.
    ///
    /// - Throws: ``TrainingError`` or `NetworkError` where the network or the options cannot be used.
    public init(network: BranchedNetwork, preprocessing: ModelManifest.Preprocessing, options: TrainingOptions) throws {
        guard options.epochs > 0, options.batchSize > 0, options.learningRate > 0 else {
            throw TrainingError("epochs, batch size and learning rate must be more than 0")
        }
        guard network.classes <= 256 else { throw TrainingError("training reads at most 256 classes") }
        self.network = network
        self.preprocessing = preprocessing
        self.options = options
        graph = try TrainingGraph(network, batch: options.batchSize)
        random = SeededGenerator(seed: options.seed)
        graph.modelParameters = try ModelParameters.random(for: network, using: &random)
    }

    /// The weights as they are now.
    public var parameters: ModelParameters { graph.modelParameters }

    /// Trains.
    ///
    /// - Parameters:
    ///   - data: the images of an epoch, from 0; they may differ from epoch to epoch, but not in number.
    ///   - progress: called about twice a second and at the end of every epoch.
    /// - Throws: ``TrainingError`` where the loss is no longer a number, or there is not a batch of images;
    ///   `CancellationError` where `progress` returns false.
    public func run(data: (Int) throws -> TrainingSet, progress: (TrainingProgress) -> Bool) throws {
        let adam = Adam(count: graph.parameters.count)
        let clock = ContinuousClock()
        let start = clock.now
        var lastReport = start
        var step = 0
        var trained = 0
        let size = network.input.elementCount
        for epoch in 0..<options.epochs {
            let set = try data(epoch)
            let count = set.labels.count
            guard set.pixels.count == count * size else {
                throw TrainingError("the images are not \(network.input), or there are not as many labels as images")
            }
            let steps = count / options.batchSize
            guard steps > 0 else {
                throw TrainingError("\(count) images are fewer than a batch of \(options.batchSize)")
            }
            if let wrong = set.labels.first(where: { Int($0) >= network.classes }) {
                throw TrainingError("there is a label \(wrong), and the network has \(network.classes) classes")
            }
            var order = Array(0..<count)
            for index in stride(from: count - 1, to: 0, by: -1) { order.swapAt(index, random.index(index + 1)) }
            var (lossSum, correct) = (0.0, 0)
            var labels = [UInt8](repeating: 0, count: options.batchSize)
            for batch in 0..<steps {
                for row in 0..<options.batchSize {
                    let image = order[batch * options.batchSize + row]
                    labels[row] = set.labels[image]
                    load(set.pixels, image: image, row: row)
                }
                try graph.forward()
                let (loss, right) = graph.loss(labels: labels)
                guard loss.isFinite else {
                    throw TrainingError(
                        "the loss is no longer a number after \(step) steps: try a lower learning rate than \(options.learningRate)"
                    )
                }
                try graph.backward()
                let rate = learningRate(step: step, of: steps * options.epochs)
                adam.update(graph.parameters, graph.gradients, learningRate: rate, weightDecay: options.weightDecay)
                step += 1
                trained += options.batchSize
                lossSum += loss
                correct += right
                let isEnd = batch == steps - 1
                let now = clock.now
                if isEnd || now - lastReport > .milliseconds(500) {
                    lastReport = now
                    let seconds = Self.seconds(now - start)
                    let fraction = Double(step) / Double(steps * options.epochs)
                    let goesOn = progress(
                        TrainingProgress(
                            epoch: epoch + 1, epochs: options.epochs, fraction: fraction,
                            loss: lossSum / Double(batch + 1),
                            accuracy: Double(correct) / Double((batch + 1) * options.batchSize),
                            imagesPerSecond: Double(trained) / max(seconds, 1e-9),
                            remaining: seconds / fraction * (1 - fraction), isEndOfEpoch: isEnd))
                    guard goesOn else { throw CancellationError() }
                }
            }
        }
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }

    private func learningRate(step: Int, of total: Int) -> Float {
        let warmup = max(1, total / 10)
        if step < warmup { return options.learningRate * Float(step + 1) / Float(warmup) }
        let position = Float(step - warmup) / Float(max(1, total - warmup))
        return options.learningRate * 0.5 * (1 + cosf(.pi * position))
    }

    /// Normalises an image into a row of the batch, CHW; with augmentation through a small random affine map.
    private func load(_ pixels: [UInt8], image: Int, row: Int) {
        let shape = network.input
        let target = graph.images.pointer + row * shape.elementCount
        let area = shape.height * shape.width
        var map: (a: Float, b: Float, c: Float, d: Float, x: Float, y: Float) = (1, 0, 0, 1, 0, 0)
        if options.augments {
            let angle = random.uniform(-0.2, 0.2), shear = random.uniform(-0.15, 0.15)
            let (scaleX, scaleY) = (random.uniform(0.88, 1.12), random.uniform(0.88, 1.12))
            let reach = Float(min(shape.height, shape.width)) * 0.08
            map = (
                cosf(angle) / scaleX, -sinf(angle) / scaleX + shear, sinf(angle) / scaleY, cosf(angle) / scaleY,
                random.uniform(-reach, reach), random.uniform(-reach, reach)
            )
        }
        let (centerX, centerY) = (Float(shape.width - 1) / 2, Float(shape.height - 1) / 2)
        pixels.withUnsafeBufferPointer { pixels in
            let source = pixels.baseAddress! + image * shape.elementCount
            for channel in 0..<shape.channels {
                let scale = 1 / (255 * preprocessing.standardDeviation[channel])
                let offset = -preprocessing.mean[channel] / preprocessing.standardDeviation[channel]
                let plane = target + channel * area
                guard options.augments else {
                    for position in 0..<area {
                        plane[position] = Float(source[position * shape.channels + channel]) * scale + offset
                    }
                    continue
                }
                for row in 0..<shape.height {
                    let dy = Float(row) - centerY
                    for column in 0..<shape.width {
                        let dx = Float(column) - centerX
                        let x = map.a * dx + map.b * dy + centerX + map.x
                        let y = map.c * dx + map.d * dy + centerY + map.y
                        let (left, top) = (x.rounded(.down), y.rounded(.down))
                        let (fx, fy) = (x - left, y - top)
                        let (x0, y0) = (Int(left), Int(top))
                        func pixel(_ x: Int, _ y: Int) -> Float {
                            guard x >= 0, y >= 0, x < shape.width, y < shape.height else { return 0 }
                            return Float(source[(y * shape.width + x) * shape.channels + channel])
                        }
                        let upper = pixel(x0, y0) * (1 - fx) + pixel(x0 + 1, y0) * fx
                        let lower = pixel(x0, y0 + 1) * (1 - fx) + pixel(x0 + 1, y0 + 1) * fx
                        plane[row * shape.width + column] = (upper * (1 - fy) + lower * fy) * scale + offset
                    }
                }
            }
        }
    }
}
#endif
