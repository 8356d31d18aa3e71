// swift-tools-version: 6.2
import PackageDescription

/// libFuzzer on every parser. A package of its own, because it links only with `--sanitize=fuzzer`: `make fuzz`.
let package = Package(
    name: "lcp-fuzzing",
    dependencies: [.package(name: "lcp", path: "..")],
    targets: [
        .systemLibrary(name: "CFuzzer", path: "Sources/CFuzzer"),
        .executableTarget(
            name: "fuzz", dependencies: ["CFuzzer", .product(name: "LCPFuzzing", package: "lcp")],
            path: "Sources/fuzz"),
    ]
)
