extension Network {
    /// LeNet-5 as the paper counts it: convolutions of 6, 16 and 120 channels, 5 × 5, the first padded to 32 × 32; fully
    /// connected 84 and 10. 61,706 parameters and 416,520 MACs.
    public static let lenet = Network(
        name: "lenet",
        input: FeatureMapShape(height: 28, width: 28, channels: 1),
        layers: [
            .convolution(outputs: 6, kernel: 5, padding: 2), .relu, .maxPool(size: 2, stride: 2),
            .convolution(outputs: 16, kernel: 5), .relu, .maxPool(size: 2, stride: 2),
            .convolution(outputs: 120, kernel: 5), .relu,
            .fullyConnected(outputs: 84), .relu,
        ],
        classes: 10,
        merge: .concat)

    /// The networks that can be named on the command line.
    public static let zoo: [Network] = [.lenet]
}
