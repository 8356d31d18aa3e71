// swift-tools-version: 6.2
import PackageDescription

// A program of yours that is a device of a pipeline. Outside this repository, name it by its address in place of the path.
let package = Package(
    name: "embedded-worker",
    dependencies: [.package(name: "lcp", path: "../..")],
    targets: [
        .executableTarget(
            name: "embedded-worker",
            dependencies: [
                .product(name: "LCPPipeline", package: "lcp"), .product(name: "LCPModels", package: "lcp"),
                .product(name: "MQTT", package: "lcp"),
            ])
    ]
)
