import Platform
public import Signals
import FoundationEssentials
public import LCPModels
public import ONNX

/// A network with its weights, out of an ONNX model.
///
/// The layers and their order are the graph's, batch normalisations stay layers of their own, and a softmax at the end is left
/// out, because predictions apply it. The last layer with weights, which has to be fully connected, becomes the classification
/// layer.
public struct ONNXImport {
    /// What a file may leave open.
    public struct Options: Sendable {
        /// What the network is called.
        public var name: String
        /// The shape of an image, where the file does not fix it.
        public var input: FeatureMapShape?
        /// The name of one of several outputs.
        public var output: String?
        /// How the branches of a split will be joined.
        public var merge = Merge.concat
        /// What a pixel is multiplied by before ``mean`` is subtracted; nil for 1/255, or for 1 where the graph itself divides.
        public var scale: Double?
        /// Per channel, or one for all: subtracted from pixel · scale.
        public var mean: [Double]?
        /// Per channel, or one for all: what the difference is divided by.
        public var standardDeviation: [Double]?
        /// Whether the network takes blue, green, red: its first layer is turned round, so that what comes of it takes red, green,
        /// blue like all others. ``mean`` and ``standardDeviation`` are in the network's order.
        public var isBlueFirst = false
        /// How pictures of other sizes become inputs.
        public var resize: PictureResize?
        /// The grey that shows where they are transparent.
        public var background: UInt8?
        /// What the input's numbers are, where it takes no pictures.
        public var signal: Signal?

        public init(name: String) { self.name = name }
    }

    /// Who says how pixels become what the network reads.
    public enum PixelsFrom: String, Sendable, Codable {
        case options, file
        /// Nobody: pixels from 0 to 1 are a guess.
        case assumed
    }

    public let network: Network
    /// An entry for each of the network's layers, and the classification layer as `merge`.
    public let weights: ModelWeights
    public let preprocessing: ModelManifest.Preprocessing
    /// Where ``preprocessing`` comes from.
    public let pixelsFrom: PixelsFrom
    /// The names of the classes, where the file has them; no and yes where ``isYesNo``.
    public let labels: [String]?
    /// Whether the graph has one output: the logit of yes, beside which no has 0.
    public let isYesNo: Bool
    /// Whether nothing in the file tells in which order the numbers of an image lie: taken for channels, height, width.
    public let isOrderAssumed: Bool
    /// Who made the file, for people: `pytorch 2.13, operator set 17`.
    public let producer: String

    /// - Throws: ``ONNXError``: one sentence with the file, the node and its operator, and what is not known about it.
    public init(_ model: ONNXModel, options: Options) throws(ONNXError) {
        let graph = try ONNXGraph(model, output: options.output)
        let importer = try GraphImporter.run(model, graph, input: options.input)
        let end = try importer.ending()
        if let given = options.input, given != importer.input.shape {
            throw ONNXError(
                "\(model.name) takes inputs of \(importer.input.shape), which --input \(given) cannot change: leave it out"
            )
        }
        network = Network(
            name: options.name, input: importer.input.shape, layers: end.layers, classes: end.classes,
            merge: options.merge)
        do { try network.split(into: 1).validate() } catch { throw ONNXError("\(model.name): \(error)") }
        var layers = end.weights
        if options.isBlueFirst { layers = try Self.turnedRound(end.layers, layers, network.input, model.name) }
        weights = ModelWeights(branches: [layers], merge: end.classification)
        let metadata = ExportMetadata(model.proto)
        var (preprocessing, pixelsFrom) = try Self.preprocessing(
            importer.normalization, options, metadata, network.input, model.name)
        if options.isBlueFirst {
            preprocessing.mean.reverse()
            preprocessing.standardDeviation.reverse()
        }
        preprocessing.resize = options.resize ?? preprocessing.resize
        preprocessing.background = options.background ?? preprocessing.background
        preprocessing.signal = options.signal ?? preprocessing.signal
        let input = network.input
        if let misfit = preprocessing.signal?.misfit(
            height: input.height, width: input.width, channels: input.channels)
        {
            throw ONNXError("\(model.name): \(misfit)")
        }
        (self.preprocessing, self.pixelsFrom) = (preprocessing, pixelsFrom)
        (isYesNo, isOrderAssumed) = (end.isYesNo, importer.isOrderAssumed)
        let told = metadata.labels ?? graph.classLabels
        labels = told.flatMap { $0.count == end.classes ? $0 : nil } ?? (isYesNo ? ["no", "yes"] : nil)
        let maker = [model.proto.producerName, model.proto.producerVersion].filter { !$0.isEmpty }.joined(
            separator: " ")
        producer = "\(maker.isEmpty ? "" : String(maker.printable.prefix(64)) + ", ")operator set \(model.operatorSet)"
    }

    /// A network's weights, where its first layer takes the colours in the other order.
    private static func turnedRound(
        _ layers: [Layer], _ weights: [LayerWeights?], _ input: FeatureMapShape, _ file: String
    ) throws(ONNXError) -> [LayerWeights?] {
        guard input.channels == 3 else {
            throw ONNXError("\(file) takes images of \(input.channels) channels, which have no blue first")
        }
        guard case .convolution(_, let window, 1, _) = layers.first, var first = weights[0] else {
            throw ONNXError(
                "the first layer of \(file) is no convolution of all colours, so that blue first cannot be made red first: "
                    + "export the network with red, green, blue")
        }
        // [outputs, colours, height, width]
        let before = first.weight
        first.weight = WeightStream(count: before.count) { piece in
            var values = try before.values()
            let area = window.taps
            for output in stride(from: 0, to: values.count, by: 3 * area) {
                for place in output..<output + area { values.swapAt(place, place + 2 * area) }
            }
            try values.withUnsafeBufferPointer(piece)
        }
        return [first] + weights.dropFirst()
    }

    /// How pixels become what the first layer reads: what the options say of the graph's input, and what the graph does to it.
    private static func preprocessing(
        _ normalization: InputNormalization?, _ options: Options, _ metadata: ExportMetadata, _ input: FeatureMapShape,
        _ file: String
    ) throws(ONNXError) -> (ModelManifest.Preprocessing, PixelsFrom) {
        let channels = input.channels
        let inner = normalization ?? InputNormalization(channels: channels)
        let isTold = options.scale != nil || options.mean != nil || options.standardDeviation != nil
        if !isTold, options.signal == nil, let stated = metadata.preprocessing, stated.mean.count == channels,
            stated.standardDeviation.count == channels, stated.standardDeviation.allSatisfy({ $0.isFinite && $0 > 0 }),
            stated.mean.allSatisfy(\.isFinite),
            metadata.isPixels ? stated.matches(inner) : inner == InputNormalization(channels: channels)
        {
            return (stated, .file)
        }
        func perChannel(_ values: [Double]?, _ missing: Double, _ name: String) throws(ONNXError) -> [Double] {
            let values = values ?? [missing]
            guard values.count == 1 || values.count == channels, values.allSatisfy(\.isFinite) else {
                throw ONNXError(
                    "--\(name) has \(values.count) numbers, and \(file) takes images of \(channels) channels")
            }
            return values.count == channels ? values : Array(repeating: values[0], count: channels)
        }
        // A graph that divides by much, or subtracts much, expects pixels as they are.
        let isInPixels =
            inner.scale.allSatisfy { abs($0) < 1.0 / 16 }
            || zip(inner.offset, inner.scale).contains { abs($0 / $1) > 4 }
        // Numbers that are no pixels come as they are.
        let (level, usual) = options.signal == nil ? (255.0, isInPixels ? 1 : 1 / 255.0) : (1, 1)
        let scale = options.scale ?? usual
        let mean = try perChannel(options.mean, 0, "mean")
        let deviation = try perChannel(options.standardDeviation, 1, "std")
        var result = ModelManifest.Preprocessing(mean: [], standardDeviation: [])
        for channel in 0..<channels {
            // (pixel · scale − mean) / deviation · inner.scale + inner.offset = (pixel / 255 − M) / S
            let factor = inner.scale[channel] * scale * level / deviation[channel]
            let offset = inner.offset[channel] - inner.scale[channel] * mean[channel] / deviation[channel]
            guard factor.isFinite, factor > 0, Float(1 / factor).isFinite, Float(1 / factor) > 0,
                Float(-offset / factor).isFinite
            else {
                throw ONNXError(
                    "\(file) with these --scale, --mean and --std turns pixels over or makes nothing of them, which is not possible: "
                        + "give a scale and deviations above 0")
            }
            result.standardDeviation.append(Float(1 / factor))
            // Not -0.
            result.mean.append(Float(0 - offset / factor))
        }
        return (result, isTold ? .options : inner == InputNormalization(channels: channels) ? .assumed : .file)
    }
}

extension ModelManifest.Preprocessing {
    /// Whether a normalisation of pixels from 0 to 255 is this one.
    fileprivate func matches(_ other: InputNormalization) -> Bool {
        mean.indices.allSatisfy { channel in
            let (mean, deviation) = (Double(mean[channel]), Double(standardDeviation[channel]))
            return abs(other.scale[channel] * (signal == nil ? 255 : 1) * deviation - 1) < 1e-4
                && abs(other.offset[channel] + mean / deviation) < 1e-4 * max(1, abs(mean / deviation))
        }
    }
}
