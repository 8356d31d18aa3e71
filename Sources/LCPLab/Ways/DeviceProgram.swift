import LCPModels

/// What one device does for a frame where a network is shared by other ways than branches: a list of steps, the same for every frame.
///
/// What a device holds stands in slots, HWC. Channels are numbered as in the whole network.
struct DeviceProgram: Sendable, Hashable {
    /// A part of the network that is computed without asking anybody.
    struct Part: Sendable, Hashable {
        var input: FeatureMapShape
        var layers: [Layer]
        /// Where each layer's weights come from; nil for those without.
        var weights: [WeightSource?]

        /// - Throws: ``NetworkError`` where the layers do not fit.
        func output() throws(NetworkError) -> FeatureMapShape {
            let shapes = try Layer.shapes(of: layers, input: input)
            return shapes[shapes.count - 1]
        }
    }

    /// Rows and columns of one layer's weights, with the batch normalisation behind it folded in.
    struct WeightSource: Sendable, Hashable {
        /// Which set of weights: 0 for the whole network's.
        var set = 0
        /// The layer's number in the whole network.
        var layer: Int
        var outputs: Range<Int>
        /// Channels of the input.
        var inputs: Range<Int>
        /// Whether the bias is in it; otherwise it comes later.
        var hasBias = true
    }

    /// Channels of a slot that go to another device.
    struct Send: Sendable, Hashable {
        var to: Int
        var slot: Int
        var channels: Range<Int>
    }

    /// Channels of a slot that come from another device.
    struct Receive: Sendable, Hashable {
        var from: Int
        var slot: Int
        var channels: Range<Int>
        /// Whether they are added to what is there.
        var adds = false
    }

    enum Step: Sendable, Hashable {
        /// The frame's picture, normalised.
        case decode(into: Int)
        case compute(part: Int, from: Int, into: Int)
        /// Copies channels from one slot into another.
        case copy(from: Int, channels: Range<Int>, into: Int, at: Int)
        case exchange([Send], [Receive])
        case add(Int, to: Int)
        /// A layer's bias, of some of its outputs.
        case bias(WeightSource, to: Int)
        /// max(0, x).
        case relu(Int)
        /// Logits: of classes from `first` on, or summands of all.
        case answer(slot: Int, first: Int)
    }

    var parts: [Part] = []
    /// The shape of every slot.
    var slots: [FeatureMapShape] = []
    var steps: [Step] = []

    mutating func addSlot(_ shape: FeatureMapShape) -> Int {
        slots.append(shape)
        return slots.count - 1
    }

    mutating func addPart(_ part: Part) -> Int {
        parts.append(part)
        return parts.count - 1
    }
}
