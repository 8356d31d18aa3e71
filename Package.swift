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

func room(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

/// What `lcp --version` tells. Not from `Context.gitInformation`, of which the package manager remembers an old answer.
let commit = Context.environment["LCP_COMMIT"] ?? ""

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
        .library(name: "LCPEvaluation", targets: ["LCPEvaluation"]),
        .library(name: "LCPTraining", targets: ["LCPTraining"]),
        .library(name: "LCPWire", targets: ["LCPWire"]),
        .library(name: "LCPPipeline", targets: ["LCPPipeline"]),
        .library(name: "LCPSensor", targets: ["LCPSensor"]),
        .library(name: "LCPFuzzing", targets: ["HostileInputs", "LCPFuzzing"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        // Without what needs the whole of Foundation.
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
    ],
    targets: [
        system("CMosquitto", package: "libmosquitto-dev", pkgConfig: "libmosquitto"),
        system("CXNNPACK", package: "libxnnpack-dev libpthreadpool-dev"),
        system("CJPEG", package: "libjpeg-dev", pkgConfig: "libjpeg"),
        system("CWebP", package: "libwebp-dev", pkgConfig: "libwebp"),
        system("CPNG", package: "libpng-dev", pkgConfig: "libpng"),
        system("CXXHash", package: "libxxhash-dev", pkgConfig: "libxxhash"),
        system("CZlib", package: "zlib1g-dev", pkgConfig: "zlib"),
        .systemLibrary(name: "CLinux"),
        system("CCrypto", package: "libssl-dev", pkgConfig: "libcrypto"),
        system("CYAML", package: "libyaml-dev", pkgConfig: "yaml-0.1"),

        // What each may use stands in Documentation/architecture.md; `make lint` checks both against the imports.
        room("Platform", ["CCrypto", "CLinux"]),
        room("Charts", []),
        .target(name: "CHalfPrecision"),
        room("Tensors", ["CHalfPrecision", "Platform"]),
        .target(name: "CMosquittoNew"),
        room(
            "MQTT",
            [
                "CLinux", "CMosquitto", "CMosquittoNew", "Platform",
                .product(name: "DequeModule", package: "swift-collections"),
            ]),
        room("YAML", ["CYAML"]),
        // Where it is compiled for another processor, pkg-config is not asked for them.
        .target(
            name: "CImageCodecs", dependencies: ["CJPEG", "CPNG", "CWebP"],
            linkerSettings: ["jpeg", "png", "webp"].map { .linkedLibrary($0) }),
        room("Images", ["CImageCodecs", "CPNG"]),
        room(
            "ONNX", ["Platform", .product(name: "SwiftProtobuf", package: "swift-protobuf")], exclude: ["onnx.proto"]),

        room("Signals", ["Platform"]),
        room("LCPModels", ["Platform", "Signals", "Tensors"]),
        room("LCPONNX", ["LCPModels", "ONNX", "Platform", "Signals"]),
        .target(name: "CBranchKernels"),
        room("LCPInference", ["CBranchKernels", "CXNNPACK", "LCPModels"]),
        room("LCPDatasets", ["CZlib", "Images", "Platform", "Signals"]),
        room("LCPPictures", ["Images", "LCPModels"]),
        room("LCPWire", ["CHalfPrecision", "CZlib", "Platform", "Tensors"]),
        room("LCPEvaluation", ["Images", "LCPInference", "LCPModels", "LCPWire", "Platform"]),
        .target(name: "CTrainingKernels"),
        room(
            "LCPTraining",
            [
                "CTrainingKernels", "Images", "LCPDatasets", "LCPEvaluation", "LCPModels", "LCPPictures", "Platform",
                "Signals", "Tensors",
            ]),
        room("LCPSearch", ["LCPInference", "LCPModels", "LCPTraining", "Platform"]),
        room("LCPCompression", ["LCPInference", "LCPModels"]),
        room("LCPHardware", ["LCPInference", "LCPModels", "Platform"]),

        room(
            "LCPPipeline",
            [
                "CLinux", "CXXHash", "Images", "LCPInference", "LCPModels", "LCPPictures", "LCPWire", "MQTT",
                "Platform",
                "Tensors",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        room(
            "LCPSensor",
            [
                "Images", "LCPDatasets", "LCPModels", "LCPPictures", "LCPPipeline", "LCPWire", "MQTT", "Platform",
                "Signals", "Tensors",
            ]),
        room("LCPSettings", ["LCPModels", "MQTT", "Platform", "YAML"]),
        room(
            "LCPLocal",
            [
                "Images", "LCPModels", "LCPPipeline", "LCPSensor", "LCPSettings", "LCPWire", "MQTT", "Platform",
                "Tensors",
            ]),

        room(
            "FaultInjection",
            ["CLinux", "MQTT", "Platform", .product(name: "DequeModule", package: "swift-collections")]),
        room(
            "LCPLab",
            [
                "CLinux", "Charts", "FaultInjection", "Images", "LCPInference", "LCPLocal", "LCPModels", "LCPPipeline",
                "LCPSettings", "LCPWire", "MQTT", "Platform", "Tensors",
            ]),
        room("HostileInputs", ["CZlib", "LCPWire", "Platform", "Tensors"]),
        room(
            "ResilienceTrials",
            [
                "FaultInjection", "HostileInputs", "Images", "LCPDatasets", "LCPEvaluation", "LCPLocal", "LCPModels",
                "LCPPipeline", "LCPSettings", "LCPWire", "MQTT", "Platform",
            ]),
        room(
            "LCPFuzzing",
            [
                "HostileInputs", "Images", "LCPDatasets", "LCPModels", "LCPONNX", "LCPPipeline", "LCPWire", "ONNX",
                "Signals", "Tensors",
            ]),
        .target(name: "CVersion", cSettings: [.define("LCP_COMMIT", to: "\"\(commit)\"")]),
        .executableTarget(
            name: "lcp",
            dependencies: [
                "CVersion", "Charts", "FaultInjection", "Images", "LCPCompression", "LCPDatasets", "LCPEvaluation",
                "LCPHardware",
                "LCPInference",
                "LCPLab", "LCPLocal", "LCPModels", "LCPONNX", "LCPPipeline", "LCPSearch", "LCPSensor", "LCPSettings",
                "LCPTraining", "LCPWire", "MQTT", "ONNX", "Platform",
                "ResilienceTrials", "Signals", .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),

        .testTarget(name: "PlatformTests", dependencies: ["CLinux", "Platform"]),
        .testTarget(name: "ChartsTests", dependencies: ["Charts"]),
        .testTarget(name: "MQTTTests", dependencies: ["CMosquitto", "MQTT", "Platform"]),
        .testTarget(name: "YAMLTests", dependencies: ["YAML"]),
        .testTarget(name: "SignalsTests", dependencies: ["Signals"]),
        .testTarget(
            name: "ONNXTests",
            dependencies: [
                "LCPEvaluation", "LCPInference", "LCPModels", "LCPONNX", "ONNX", "Platform", "Signals", "Tensors",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]),
        .testTarget(name: "LCPModelsTests", dependencies: ["LCPModels", "Platform", "Signals", "Tensors"]),
        .testTarget(
            name: "LCPInferenceTests",
            dependencies: [
                "CBranchKernels", "LCPCompression", "LCPInference", "LCPModels", "Platform", "Signals", "Tensors",
            ]),
        .testTarget(
            name: "LCPHardwareTests", dependencies: ["LCPHardware", "LCPInference", "LCPModels", "Platform"]),
        .testTarget(
            name: "LCPCompressionTests",
            dependencies: ["LCPCompression", "LCPInference", "LCPModels", "Platform", "Tensors"]),
        .testTarget(
            name: "LCPEvaluationTests",
            dependencies: ["LCPEvaluation", "LCPInference", "LCPModels", "Platform", "Tensors"]),
        .testTarget(
            name: "LCPTrainingTests",
            dependencies: [
                "CTrainingKernels", "LCPCompression", "LCPDatasets", "LCPEvaluation", "LCPInference", "LCPModels",
                "LCPTraining", "Platform", "Tensors",
            ]),
        .testTarget(
            name: "LCPSearchTests",
            dependencies: ["LCPDatasets", "LCPModels", "LCPSearch", "LCPTraining", "Platform"]),
        .testTarget(name: "ImagesTests", dependencies: ["CZlib", "Images", "Platform"]),
        .testTarget(
            name: "LCPDatasetsTests", dependencies: ["CZlib", "LCPDatasets", "Platform", "Signals", "Tensors"]),
        .testTarget(name: "LCPWireTests", dependencies: ["HostileInputs", "LCPWire", "Platform", "Tensors"]),
        .testTarget(
            name: "LCPPipelineTests",
            dependencies: [
                "Images", "LCPInference", "LCPModels", "LCPPictures", "LCPPipeline", "LCPWire", "MQTT", "Platform",
                "Signals", "Tensors",
            ]),
        .testTarget(
            name: "LCPSensorTests",
            dependencies: [
                "Images", "LCPDatasets", "LCPModels", "LCPPipeline", "LCPSensor", "LCPWire", "Platform", "Signals",
                "Tensors",
            ]),
        .testTarget(
            name: "LCPSettingsTests",
            dependencies: [
                "LCPModels", "LCPPipeline", "LCPSensor", "LCPSettings", "LCPWire", "MQTT", "Platform", "lcp",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .testTarget(name: "LCPLocalTests", dependencies: ["LCPLocal", "LCPWire", "Platform", "Tensors"]),
        .testTarget(
            name: "LCPLabTests",
            dependencies: ["Charts", "Images", "LCPLab", "LCPLocal", "LCPModels", "LCPWire", "Platform", "Tensors"]),
        .testTarget(name: "FaultInjectionTests", dependencies: ["FaultInjection", "MQTT", "Platform"]),
        .testTarget(
            name: "LCPFuzzingTests",
            dependencies: [
                "HostileInputs", "LCPFuzzing", "LCPLocal", "LCPPipeline", "LCPWire", "MQTT", "Platform", "Tensors",
                "lcp",
            ]),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "CLinux", "FaultInjection", "Images", "LCPDatasets", "LCPEvaluation", "LCPLab", "LCPLocal", "LCPModels",
                "LCPPipeline",
                "LCPSensor",
                "LCPSettings", "LCPWire",
                "MQTT", "Platform", "ResilienceTrials", "Signals", "Tensors", "lcp",
            ]),
    ]
)
