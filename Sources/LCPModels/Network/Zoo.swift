extension Network {
    /// The networks that can be named on the command line, each with the shape of its data set.
    public static let zoo: [Network] = [
        .lenetFC, .lenet, .cifarnet, .cifarnetBN, .vggS, .vgg16, .alexnet, .resnet18, .resnet50, .mobilenet,
        .mlp, .conv1d, .dscnn,
    ]

    /// A network of the zoo by its name.
    ///
    /// - Throws: ``NetworkError`` that lists the names.
    public static func named(_ name: String) throws(NetworkError) -> Network {
        guard let network = zoo.first(where: { $0.name == name }) else {
            throw NetworkError(
                "there is no network \(name.debugDescription); there are \(zoo.map(\.name).joined(separator: ", "))")
        }
        return network
    }

    /// The data set, or the kind of data, that a network of the zoo is made for; nil for every other network.
    public var dataSet: String? {
        switch name {
        case "lenet-fc", "lenet": "MNIST"
        case "cifarnet", "cifarnet-bn": "CIFAR-10"
        case "vgg-s": "Flower102"
        case "vgg16", "alexnet", "resnet18", "resnet50", "mobilenet": "ImageNet"
        case "mlp": "records"
        case "conv1d": "windows"
        case "dscnn": "sound"
        default: nil
        }
    }

    /// Fully connected 300, 100 and 10 on MNIST (LeCun et al., 1998): 266,610 parameters.
    public static let lenetFC = Network(
        name: "lenet-fc",
        input: FeatureMapShape(height: 28, width: 28, channels: 1),
        layers: [.fullyConnected(outputs: 300), .relu, .fullyConnected(outputs: 100), .relu],
        classes: 10,
        merge: .concat)

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

    /// CifarNet as the paper counts it: valid 5 × 5 convolutions of 64 channels, response normalisation over 9 of them; fully
    /// connected 384 and 192. 797,962 parameters on CIFAR-10, 815,332 on CIFAR-100.
    public static let cifarnet = Network(
        name: "cifarnet",
        input: FeatureMapShape(height: 32, width: 32, channels: 3),
        layers: [
            .convolution(outputs: 64, kernel: 5), .relu, .maxPool(size: 2, stride: 2), .cifarnetNormalization,
            .convolution(outputs: 64, kernel: 5), .relu, .cifarnetNormalization, .maxPool(size: 2, stride: 2),
            .fullyConnected(outputs: 384), .relu, .dropout(rate: 0.5),
            .fullyConnected(outputs: 192), .relu,
        ],
        classes: 10,
        merge: .sum)

    /// CifarNet with batch normalisation in place of response normalisation and dropout: behind each pooling, where it has a
    /// quarter of the numbers to work on, and behind each fully connected layer, into whose weights it folds. Widths, kernels
    /// and pooling are CifarNet's.
    public static let cifarnetBN = Network(
        name: "cifarnet-bn",
        input: cifarnet.input,
        layers: [
            .convolution(outputs: 64, kernel: 5, hasBias: false), .maxPool(size: 2, stride: 2),
            .batchNormalization(), .relu,
            .convolution(outputs: 64, kernel: 5, hasBias: false), .maxPool(size: 2, stride: 2),
            .batchNormalization(), .relu,
            .fullyConnected(outputs: 384), .batchNormalization(), .relu,
            .fullyConnected(outputs: 192), .batchNormalization(), .relu,
        ],
        classes: 10,
        merge: .sum)

    /// VGG-S, the paper's name for CNN-S (Chatfield et al., 2014), on Flower102; pooling rounds down.
    public static let vggS = Network(
        name: "vgg-s",
        input: FeatureMapShape(height: 224, width: 224, channels: 3),
        layers: [
            .convolution(outputs: 96, kernel: 7, stride: 2), .relu,
            .localResponseNormalization(size: 5, alpha: 5e-4, beta: 0.75, k: 2), .maxPool(size: 3, stride: 3),
            .convolution(outputs: 256, kernel: 5, padding: 1), .relu, .maxPool(size: 2, stride: 2),
            .convolution(outputs: 512, kernel: 3, padding: 1), .relu,
            .convolution(outputs: 512, kernel: 3, padding: 1), .relu,
            .convolution(outputs: 512, kernel: 3, padding: 1), .relu, .maxPool(size: 3, stride: 3),
            .fullyConnected(outputs: 4096), .relu, .dropout(rate: 0.5),
            .fullyConnected(outputs: 4096), .relu, .dropout(rate: 0.5),
        ],
        classes: 102,
        merge: .sum)

    /// VGG16 (Simonyan and Zisserman, 2015) on ImageNet: 138,357,544 parameters.
    public static let vgg16 = Network(
        name: "vgg16",
        input: .imageNet,
        layers: [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)].flatMap { width, count in
            (0..<count).flatMap { _ in [Layer.convolution(outputs: width, kernel: 3, padding: 1), .relu] }
                + [.maxPool(size: 2, stride: 2)]
        } + [
            .fullyConnected(outputs: 4096), .relu, .dropout(rate: 0.5),
            .fullyConnected(outputs: 4096), .relu, .dropout(rate: 0.5),
        ],
        classes: 1000,
        merge: .sum)

    /// AlexNet v2 (Krizhevsky, 2014), the one of one tower, on ImageNet: 50,303,912 parameters.
    public static let alexnet = Network(
        name: "alexnet",
        input: .imageNet,
        layers: [
            .convolution(outputs: 64, kernel: 11, stride: 4), .relu, .maxPool(size: 3, stride: 2),
            .convolution(outputs: 192, kernel: 5, padding: 2), .relu, .maxPool(size: 3, stride: 2),
            .convolution(outputs: 384, kernel: 3, padding: 1), .relu,
            .convolution(outputs: 384, kernel: 3, padding: 1), .relu,
            .convolution(outputs: 256, kernel: 3, padding: 1), .relu, .maxPool(size: 3, stride: 2),
            .fullyConnected(outputs: 4096), .relu, .dropout(rate: 0.5),
            .fullyConnected(outputs: 4096), .relu, .dropout(rate: 0.5),
        ],
        classes: 1000,
        merge: .sum)

    /// ResNet-18 (He et al., 2016) on ImageNet: 11,689,512 parameters.
    public static let resnet18 = residual(name: "resnet18", blocks: [2, 2, 2, 2], expansion: 1)

    /// ResNet-50 (He et al., 2016), striding in the 3 × 3 convolution as PyTorch does, on ImageNet: 25,557,032 parameters.
    public static let resnet50 = residual(name: "resnet50", blocks: [3, 4, 6, 3], expansion: 4)

    /// MobileNet v1 (Howard et al., 2017) on ImageNet: 4,231,976 parameters.
    public static let mobilenet: Network = {
        let normalized: [Layer] = [.batchNormalization(), .relu6]
        var layers: [Layer] = [.convolution(outputs: 32, kernel: 3, stride: 2, padding: 1, hasBias: false)] + normalized
        let widths: [(width: Int, stride: Int)] =
            [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
            + Array(repeating: (512, 1), count: 5) + [(1024, 2), (1024, 1)]
        for (width, stride) in widths {
            layers.append(.depthwiseConvolution(kernel: 3, stride: stride, padding: 1, hasBias: false))
            layers += normalized
            layers.append(.convolution(outputs: width, kernel: 1, hasBias: false))
            layers += normalized
        }
        return Network(
            name: "mobilenet", input: .imageNet, layers: layers + [.globalAveragePool], classes: 1000, merge: .concat)
    }()

    /// A residual network: basic blocks where `expansion` is 1, otherwise bottlenecks that end in `expansion` times the width.
    private static func residual(name: String, blocks: [Int], expansion: Int) -> Network {
        var layers: [Layer] = [
            .convolution(outputs: 64, kernel: 7, stride: 2, padding: 3, hasBias: false), .batchNormalization(), .relu,
            .maxPool(size: 3, stride: 2, padding: 1),
        ]
        var channels = 64
        for (stage, count) in blocks.enumerated() {
            let width = 64 << stage
            for block in 0..<count {
                let stride = stage > 0 && block == 0 ? 2 : 1
                let start = layers.count - 1
                let kernels: [(kernel: Int, stride: Int, width: Int)] =
                    expansion == 1
                    ? [(3, stride, width), (3, 1, width)]
                    : [(1, 1, width), (3, stride, width), (1, 1, width * expansion)]
                for (index, shape) in kernels.enumerated() {
                    layers += [
                        .convolution(
                            outputs: shape.width, kernel: shape.kernel, stride: shape.stride,
                            padding: shape.kernel / 2, hasBias: false),
                        .batchNormalization(),
                    ]
                    if index < kernels.count - 1 { layers.append(.relu) }
                }
                let end = layers.count - 1
                if stride != 1 || channels != width * expansion {
                    layers += [
                        .output(of: start),
                        .convolution(outputs: width * expansion, kernel: 1, stride: stride, hasBias: false),
                        .batchNormalization(), .add(end), .relu,
                    ]
                } else {
                    layers += [.add(start), .relu]
                }
                channels = width * expansion
            }
        }
        return Network(
            name: name, input: .imageNet, layers: layers + [.globalAveragePool], classes: 1000, merge: .concat)
    }
}

extension FeatureMapShape {
    fileprivate static let imageNet = FeatureMapShape(height: 224, width: 224, channels: 3)
}

extension Layer {
    /// Krizhevsky's constants for CIFAR-10: radius 4, α 0.001 over the window.
    fileprivate static let cifarnetNormalization = localResponseNormalization(size: 9, alpha: 1e-3, beta: 0.75, k: 1)
}

extension ModelManifest.Preprocessing {
    /// The usual mean and standard deviation of the data set that has images of this shape: MNIST's for grey ones, CIFAR-10's
    /// for small coloured ones, ImageNet's for large ones.
    public static func usual(for input: FeatureMapShape) -> Self {
        if input.channels == 3 {
            return max(input.height, input.width) <= 64
                ? Self(mean: [0.4914, 0.4822, 0.4465], standardDeviation: [0.247, 0.2435, 0.2616])
                : Self(mean: [0.485, 0.456, 0.406], standardDeviation: [0.229, 0.224, 0.225])
        }
        return Self(
            mean: Array(repeating: 0.1307, count: input.channels),
            standardDeviation: Array(repeating: 0.3081, count: input.channels))
    }
}
