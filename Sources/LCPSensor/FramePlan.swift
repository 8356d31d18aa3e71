import LCPModels
import LCPWire

/// What a sensor's frames are like, by its source, the pipeline's model and those who read them: their shape, and how their pixels
/// are written. No I/O: what is to be told is returned.
struct FramePlan {
    /// What the source says about the shape.
    enum Sizing: Hashable {
        /// Every frame has this shape, whatever the model wants.
        case fixed(FeatureMapShape)
        /// Pictures, resized to the model's shape; to this one while no model is known.
        case pictures(FeatureMapShape)
    }

    /// Why frames are written as they are.
    struct Decision: Hashable {
        var encoding: FrameEncoding
        var reason: String
    }

    private let sizing: Sizing
    /// Nil where the choice is ours.
    private let wanted: FrameEncoding?
    private(set) var model: ModelManifest?
    private(set) var shape: FeatureMapShape
    private(set) var decision: Decision

    var encoding: FrameEncoding { decision.encoding }

    /// Frames up to so many bytes stay raw. Seen with CIFAR-10's test images on one core of a server: at 32 × 32 a JPEG of quality
    /// 80 saves 2.1 of 3.1 kB and takes 32 µs to encode and decode, at 64 × 64 (four of them) 10.3 of 12.3 kB and 68 µs. On a
    /// Raspberry Pi 3, eleven times as slow, with 62 Mbit/s that is 0.35 ms for 0.27 ms of the link, and 0.75 ms for 1.3 ms.
    static let largestRaw = 8192
    /// The accuracy that an encoding may cost, 0 to 1, where the model says it.
    static let bearableLoss = 0.003

    /// Whether frames are a signal's numbers, which are sent as they are.
    private let isSignal: Bool

    /// - Parameter wanted: how pixels are to be written; nil for the best.
    init(_ sizing: Sizing, wanted: FrameEncoding?, isSignal: Bool = false) {
        self.isSignal = isSignal
        self.sizing = sizing
        self.wanted = wanted
        shape =
            switch sizing {
            case .fixed(let shape), .pictures(let shape): shape
            }
        decision = Decision(encoding: .raw, reason: "")
        decision = decision(nil)
    }

    /// Where no model says how long windows are.
    mutating func setShape(_ shape: FeatureMapShape) {
        self.shape = shape
        decision = decision(nil)
    }

    private func decision(_ oldWorker: String?) -> Decision {
        isSignal
            ? Decision(encoding: .raw, reason: "numbers are sent as they are")
            : Self.decision(wanted, shape, model, oldWorker: oldWorker)
    }

    /// Takes what is known of the pipeline.
    ///
    /// - Parameters:
    ///   - model: the pipeline's; nil while none is known.
    ///   - workers: those that are there.
    /// - Returns: sentences about what changes, and about frames that do not fit.
    mutating func update(model: ModelManifest?, workers: [RoleStatus]) -> [String] {
        var sentences: [String] = []
        let before = (shape, encoding, self.model == nil)
        let isNew = model != nil && model != self.model
        self.model = model ?? self.model
        if let input = self.model?.network.input {
            switch sizing {
            case .pictures: shape = input
            case .fixed(let shape):
                if isNew, shape != input, let name = self.model?.name {
                    sentences.append(
                        "frames are \(shape), and \(name.printable) takes \(input): no branch answers them")
                }
            }
        }
        let old = workers.first { !$0.readsTensorMessages(of: 2) }
        decision = decision(old?.id)
        if before.0 != shape || before.1 != encoding || isNew && before.2 {
            sentences.append("frames are \(shape), sent as \(encoding): \(decision.reason)")
        }
        return sentences
    }

    /// How frames of a shape are written.
    static func decision(
        _ wanted: FrameEncoding?, _ shape: FeatureMapShape, _ model: ModelManifest?, oldWorker: String?
    ) -> Decision {
        let bytes = shape.elementCount
        guard FrameEncoding.png.fits(shape) else {
            return Decision(encoding: .raw, reason: "a picture has one channel or three")
        }
        if let oldWorker, wanted != .raw {
            return Decision(
                encoding: .raw, reason: "the worker \(oldWorker) reads no pictures in frames; update its lcp")
        }
        if let wanted { return Decision(encoding: wanted, reason: "as it was told") }
        guard bytes > largestRaw else {
            return Decision(
                encoding: .raw, reason: "\(bytes) bytes take the network no longer than a JPEG the processor")
        }
        let jpeg = FrameEncoding.jpeg(quality: FrameEncoding.standardQuality)
        if let loss = model?.training?.loss(of: jpeg), loss > bearableLoss {
            let points = Double(Int((loss * 1000).rounded())) / 10
            return Decision(encoding: .png, reason: "\(jpeg) costs this model \(points) points of accuracy")
        }
        return Decision(encoding: jpeg, reason: "raw they are \(bytes) bytes")
    }
}
