// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// The C libraries come from Debian: `make setup` installs them.
func system(_ name: String, package: String, pkgConfig: String? = nil) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([package])])
}

let package = Package(
    name: "lcp",
    products: [
        .executable(name: "lcp", targets: ["lcp"]),
        .library(name: "MQTT", targets: ["MQTT"]),
        .library(name: "Tensors", targets: ["Tensors"]),
        .library(name: "ONNX", targets: ["ONNX"]),
        .library(name: "LCPModels", targets: ["LCPModels"]),
        .library(name: "LCPONNX", targets: ["LCPONNX"]),
        .library(name: "LCPInference", targets: ["LCPInference"]),
        .library(name: "LCPTraining", targets: ["LCPTraining"]),
        .library(name: "LCPPipeline", targets: ["LCPPipeline"]),
        .library(name: "LCPFuzzing", targets: ["LCPFuzzing"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // Without what needs the whole of Foundation.
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
    ],
    targets: [
        system("CMosquitto", package: "libmosquitto-dev", pkgConfig: "libmosquitto"),
        system("CXNNPACK", package: "libxnnpack-dev libpthreadpool-dev"),
        system("CJPEG", package: "libturbojpeg0-dev", pkgConfig: "libturbojpeg"),
        system("CPNG", package: "libpng-dev", pkgConfig: "libpng"),
        system("CXXHash", package: "libxxhash-dev", pkgConfig: "libxxhash"),
        system("CZlib", package: "zlib1g-dev", pkgConfig: "zlib"),
        system("CCrypto", package: "libssl-dev", pkgConfig: "libcrypto"),
        system("CYAML", package: "libyaml-dev", pkgConfig: "yaml-0.1"),

        .systemLibrary(name: "CLinux"),
        .target(name: "Charts", swiftSettings: strict),
        .target(name: "MQTT", dependencies: ["CMosquitto"], swiftSettings: strict),
        .target(name: "YAML", dependencies: ["CYAML"], swiftSettings: strict),
        .target(name: "Tensors", dependencies: ["CLinux", "CZlib", "CCrypto"], swiftSettings: strict),
        .target(
            name: "ONNX",
            dependencies: ["Tensors", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["onnx.proto"], swiftSettings: strict),
        .target(name: "LCPModels", dependencies: ["Tensors"], swiftSettings: strict),
        .target(name: "LCPONNX", dependencies: ["ONNX", "LCPModels", "Tensors"], swiftSettings: strict),
        .target(name: "CBranchKernels"),
        .target(
            name: "LCPInference", dependencies: ["Tensors", "LCPModels", "CXNNPACK", "CBranchKernels"],
            swiftSettings: strict),
        .target(name: "CTrainingKernels"),
        .target(
            name: "LCPTraining", dependencies: ["LCPModels", "LCPInference", "LCPDatasets", "CTrainingKernels"],
            swiftSettings: strict),
        .target(name: "Images", dependencies: ["CJPEG", "CPNG"], swiftSettings: strict),
        .target(name: "LCPDatasets", dependencies: ["Tensors", "Images", "CZlib"], swiftSettings: strict),
        .target(
            name: "LCPPipeline", dependencies: ["MQTT", "YAML", "LCPInference", "Images", "LCPDatasets", "CXXHash"],
            swiftSettings: strict),
        .target(name: "LCPChaos", dependencies: ["MQTT", "Tensors"], swiftSettings: strict),
        .target(
            name: "LCPFuzzing",
            dependencies: ["Tensors", "LCPModels", "ONNX", "LCPONNX", "Images", "LCPDatasets", "LCPPipeline", "CZlib"],
            swiftSettings: strict),
        .target(
            name: "LCPTrials", dependencies: ["LCPPipeline", "LCPChaos", "LCPFuzzing"], swiftSettings: strict),
        .executableTarget(
            name: "lcp",
            dependencies: [
                "LCPPipeline", "LCPChaos", "LCPTrials", "LCPTraining", "LCPONNX", "ONNX", "Charts", "Images",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        .testTarget(name: "ChartsTests", dependencies: ["Charts"]),
        .testTarget(name: "MQTTTests", dependencies: ["MQTT"]),
        .testTarget(name: "YAMLTests", dependencies: ["YAML"]),
        .testTarget(name: "TensorsTests", dependencies: ["Tensors"]),
        .testTarget(
            name: "ONNXTests",
            dependencies: [
                "ONNX", "LCPONNX", "LCPModels", "LCPInference", "Tensors",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
        .testTarget(name: "LCPModelsTests", dependencies: ["LCPModels", "Tensors"]),
        .testTarget(
            name: "LCPInferenceTests", dependencies: ["LCPInference", "CBranchKernels", "LCPModels", "Tensors"]),
        .testTarget(
            name: "LCPTrainingTests", dependencies: ["LCPTraining", "LCPModels", "Tensors", "CTrainingKernels"]),
        .testTarget(name: "ImagesTests", dependencies: ["Images", "CZlib"]),
        .testTarget(name: "LCPDatasetsTests", dependencies: ["LCPDatasets", "Tensors", "CZlib"]),
        .testTarget(name: "LCPPipelineTests", dependencies: ["LCPPipeline", "LCPModels", "MQTT", "Tensors"]),
        .testTarget(name: "LCPChaosTests", dependencies: ["LCPChaos", "MQTT", "Tensors"]),
        .testTarget(name: "LCPFuzzingTests", dependencies: ["LCPFuzzing", "LCPPipeline", "MQTT", "Tensors", "lcp"]),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "LCPPipeline", "LCPChaos", "LCPTrials", "LCPModels", "LCPDatasets", "MQTT", "Tensors", "lcp",
            ]),
    ]
)
