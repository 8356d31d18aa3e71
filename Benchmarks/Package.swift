// swift-tools-version: 6.1
import PackageDescription

// A package of its own, so that nobody who builds lcp builds its yardsticks.
// It needs libmosquitto-dev (`make setup` in the folder above installs it) and nothing of lcp.
let package = Package(
    name: "Benchmarks",
    products: [
        .executable(name: "bare-mqtt", targets: ["BareMQTT"])
    ],
    targets: [
        .executableTarget(
            name: "BareMQTT",
            cSettings: [
                .define("_GNU_SOURCE"),
                .unsafeFlags(["-Wall", "-Wextra"]),
            ],
            linkerSettings: [.linkedLibrary("mosquitto")])
    ],
    cLanguageStandard: .c11
)
