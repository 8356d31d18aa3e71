/// A layer as the array does it: windows of words of a feature map, times weights, into another map. It becomes a command for every
/// group of its outputs.
struct ArrayPass: Sendable {
    /// Which inputs an output is made of.
    enum Structure: Sendable, Hashable {
        /// All channels.
        case dense
        /// Its own channel.
        case diagonal
    }

    /// What a column's sum gets.
    struct Constants: Sendable, Hashable {
        var bias = 0
        var multiplier = 0
        var shift = 0
    }

    /// For people.
    var name: String
    var structure = Structure.dense
    var kernelHeight = 1
    var kernelWidth = 1
    var stride = 1
    var padding = 0
    /// Down, where that is another than to the right: of an input that is laid for its first layer.
    var strideDown: Int?
    var paddingDown: Int?
    /// Outputs before pooling.
    var height: Int
    var width: Int
    var outputs: Int
    /// The largest of each window is written.
    var poolSize = 1
    var poolStride = 1
    /// Whether a pixel takes whole lines, also where several pixels would lie in one.
    var isWide = false
    /// Times that the inputs are read, with other weights; what was added up before counts 2^word times.
    var planes = 1

    /// A number of words that stands for what lies around the map.
    var pad = 0
    var isRaw = false
    var isDirect = false
    var least = 0
    var most = 0
    var zero = 0
    /// For each output.
    var constants: [Constants] = []
    /// The weight of an input for an output: plane, operand, output, row and column of the window, channel.
    typealias Weight = @Sendable (Int, Int, Int, Int, Int, Int) -> Int
    /// Nil where only the time counts.
    var weight: Weight?
    /// Multiplications that the network asks for.
    var multiplications = 0

    /// The same with weights for all channels, of which all but one are 0.
    var dense: ArrayPass {
        var pass = self
        pass.structure = .dense
        if let weight {
            pass.weight = { (plane: Int, operand: Int, output: Int, y: Int, x: Int, channel: Int) -> Int in
                channel == output ? weight(plane, operand, output, y, x, channel) : 0
            }
        }
        return pass
    }

    var down: (stride: Int, padding: Int) { (strideDown ?? stride, paddingDown ?? padding) }
    var pooledHeight: Int { (height - poolSize) / poolStride + 1 }
    var pooledWidth: Int { (width - poolSize) / poolStride + 1 }
}

/// How the outputs of a pass lie in the columns.
struct ColumnPlan: Sendable, Hashable {
    /// Some of the outputs, and how often they stand in the columns.
    struct Tile: Sendable, Hashable {
        /// The first word of the pixel, and how many.
        var place: Int
        var words: Int
        var groups: Int
        var parts: Int
        /// Lines from a step to the next, and from a part to the next.
        var step: Int
        var part: Int
    }

    /// Words of a pixel of what is written.
    var pixel: Int
    var tiles: [Tile]
    /// Clocks with nothing to wait for.
    var clocks = 0
}
