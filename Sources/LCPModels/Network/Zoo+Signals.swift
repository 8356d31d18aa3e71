/// Networks for numbers that are no pictures. With data of their own they get as many fields and classes as these have.
extension Network {
    /// Fully connected 128 and 64, for single records of 16 fields and 4 classes.
    public static let mlp = Network(
        name: "mlp",
        input: FeatureMapShape(features: 16),
        layers: [.fullyConnected(outputs: 128), .relu, .fullyConnected(outputs: 64), .relu],
        classes: 4,
        merge: .concat)

    /// Three convolutions over time, of 32, 64 and 128 channels, for windows of 128 samples of 3 fields and 6 classes: the size of
    /// those for the three axes of an accelerometer.
    public static let conv1d = Network(
        name: "conv1d",
        input: FeatureMapShape(height: 1, width: 128, channels: 3),
        layers: [(32, 7), (64, 5), (128, 3)].flatMap { width, kernel in
            [
                .convolution(
                    outputs: width,
                    window: Window(height: 1, width: kernel, left: kernel / 2, right: kernel / 2), hasBias: false),
                .batchNormalization(), .relu,
                .maxPool(window: Window(height: 1, width: 2, strideAcross: 2)),
            ]
        } + [.globalAveragePool],
        classes: 6,
        merge: .concat)

    /// DS-CNN, small (Zhang et al., 2017, "Hello Edge"), for one second of sound in 40 bands and 49 frames, and 12 words: a
    /// convolution of 64 channels, four pairs of a depthwise and a pointwise one.
    public static let dscnn: Network = {
        let normalized: [Layer] = [.batchNormalization(), .relu]
        let first = Window(
            height: 4, width: 10, strideDown: 2, strideAcross: 2, top: 1, bottom: 1, left: 4, right: 5)
        let pair: [Layer] =
            [.depthwiseConvolution(kernel: 3, padding: 1, hasBias: false)] + normalized
            + [.convolution(outputs: 64, kernel: 1, hasBias: false)] + normalized
        return Network(
            name: "dscnn",
            input: FeatureMapShape(height: 40, width: 49, channels: 1),
            layers: [.convolution(outputs: 64, window: first, hasBias: false)] + normalized
                + (0..<4).flatMap { _ in pair } + [.globalAveragePool],
            classes: 12,
            merge: .concat)
    }()
}
