import ArgumentParser
import LCPDatasets
import LCPLab
import LCPModels
import Platform

/// What shells offer behind the options, with the completion scripts that lcp writes.
extension CompletionKind {
    /// Models that came with lcp, and folders.
    static let bundle = custom { _, _, prefix in models(prefix) }
    /// Networks of the zoo, and models.
    static let network = custom { _, _, prefix in
        Network.zoo.map(\.name).filter { $0.hasPrefix(prefix) } + models(prefix)
    }
    static let profile = custom { _, _, _ in (try? DeviceProfile.shipped().map(\.name)) ?? [] }
    // Only words without a colon: bash takes one for a word's end.
    static let data = list(["drawn"])
    static let source = list(["drawn", "rpicam", "stdin"])
    static let roles = list(["worker", "aggregator", "sensor", "aggregator,worker"])
    static let encoding = list(["raw", "png", "jpeg"])
    static let features = list(["fp32", "fp16", "int8"])

    private static func models(_ prefix: String) -> [String] {
        let names = prefix.contains("/") ? [] : ModelBundle.shippedNames.filter { $0.hasPrefix(prefix) }
        return names + folders(prefix)
    }

    /// The folders that begin like what was typed.
    private static func folders(_ prefix: String) -> [String] {
        let slash = prefix.lastIndex(of: "/").map { prefix.index(after: $0) }
        let parent = String(prefix[..<(slash ?? prefix.startIndex)])
        let beginning = prefix[(slash ?? prefix.startIndex)...]
        let entries = (try? FileIO.list(parent.isEmpty ? "." : parent)) ?? []
        return entries.filter { $0.hasPrefix(beginning) && (beginning.hasPrefix(".") || !$0.hasPrefix(".")) }
            .map { parent + $0 }.filter(FileIO.isFolder).sorted()
    }
}
