// swift-tools-version: 6.2
import PackageDescription

/// What lcp is measured against. A package of its own, so that nobody builds it who does not measure.
let package = Package(
    name: "lcp-benchmarks",
    targets: [
        .systemLibrary(name: "CMosquitto", path: "Sources/CMosquitto", pkgConfig: "libmosquitto"),
        .executableTarget(name: "bare-mqtt", dependencies: ["CMosquitto"], path: "Sources/bare-mqtt"),
    ]
)
