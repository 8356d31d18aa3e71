import ArgumentParser
import LCPDatasets
import LCPModels
import LCPWire
import Platform

/// A network of the zoo, for other images or classes where they are given, or a model bundle.
struct NetworkOptions: ParsableArguments {
    @Argument(
        help:
            "A network of the zoo, or a model bundle: a folder, or the name of one that came with lcp (lcp model list).",
        completion: .network
    )
    var network: String

    @Option(help: ArgumentHelp("Another number of classes.", valueName: "c"))
    var classes: Int?

    @Option(
        help: ArgumentHelp("The shape of other images, for example 32x32x3.", valueName: "HxWxC"),
        transform: parseShape)
    var input: FeatureMapShape?

    @Option(
        help: ArgumentHelp("How the branches are joined; by default as in the paper.", valueName: "concat|sum"),
        transform: { text in
            guard let merge = Merge(rawValue: text) else {
                throw ValidationError("branches are joined by concat or sum")
            }
            return merge
        })
    var merge: Merge?

    /// What the words on the command line mean.
    enum Chosen {
        case zoo(Network)
        case bundle(ModelBundle)
    }

    /// The options that change a network, as they were typed.
    var changes: [String] {
        var words: [String] = []
        if let classes { words.append("--classes \(classes)") }
        if let input { words.append("--input \(input.height)x\(input.width)x\(input.channels)") }
        if let merge { words.append("--merge \(merge.rawValue)") }
        return words
    }

    func chosen() throws -> Chosen {
        let chosen = try Self.find(network)
        guard case .zoo(let zoo) = chosen else { return chosen }
        return .zoo(try changed(zoo))
    }

    /// A network of the zoo, or a bundle.
    private static func find(_ network: String) throws -> Chosen {
        if let zoo = Network.zoo.first(where: { $0.name == network }) { return .zoo(zoo) }
        let isHere = network.contains("/") || FileIO.exists("\(network)/model.json")
        guard isHere || ModelBundle.shippedNames.contains(network) else {
            throw CommandError(
                "there is no network or model \(network): the zoo has \(Network.zoo.map(\.name).joined(separator: ", ")), "
                    + "and lcp model list shows the models; a folder needs a model.json in it")
        }
        return .bundle(try ModelBundle.find(network))
    }

    /// The bundle that is named; nil for a network of the zoo.
    func bundle() throws -> ModelBundle? {
        guard case .bundle(let bundle) = try Self.find(network) else { return nil }
        return bundle
    }

    /// A network that is in one piece, so that it can be split.
    func whole() throws -> (network: Network, bundle: ModelBundle?) {
        let (network, bundle) = try Self.whole(network)
        return (try changed(network), bundle)
    }

    /// A network by its name or bundle, in one piece.
    static func whole(_ network: String) throws -> (network: Network, bundle: ModelBundle?) {
        switch try find(network) {
        case .zoo(let network): return (network, nil)
        case .bundle(let bundle):
            guard let network = bundle.network.unsplit else {
                throw CommandError(
                    "\(bundle.manifest.name) is in \(bundle.network.branches.count) branches already, and only a whole network "
                        + "is split: name \(bundle.network.base), or a bundle of one branch")
            }
            return (network, bundle)
        }
    }

    /// A network of the zoo for the fields and the classes that data of numbers have, where none were given.
    func fitted(_ network: Network, to data: DataSpecification) throws -> Network {
        guard data.isSignal else { return network }
        var shape = network.input
        if case .records(let files) = data {
            guard shape.height == 1 else {
                throw CommandError(
                    "\(network.name) is for pictures: for records name mlp, or for windows of them conv1d")
            }
            if input == nil { shape.channels = try files.fields().count }
        } else if shape.height == 1 || shape.channels != 1 {
            throw CommandError("\(network.name) is not for sound: name dscnn")
        }
        return network.with(input: shape, classes: try classes ?? data.classNames()?.count)
    }

    private func changed(_ network: Network) throws -> Network {
        let result = network.with(input: input, classes: classes, merge: merge)
        guard input != nil else { return result }
        do { _ = try result.split(into: 1) } catch {
            throw CommandError("\(network.name) is not for images of \(result.input): \(error)")
        }
        return result
    }
}

/// The shape of an image as it is typed.
func parseShape(_ text: String) throws -> FeatureMapShape {
    guard let shape = FeatureMapShape(text) else {
        throw ValidationError("give height, width and channels, for example 224x224x3")
    }
    return shape
}

/// Into what a network is split.
struct SplitOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Into how many branches: every width is divided by it.", valueName: "n"))
    var branches: Int?

    @Option(
        help: ArgumentHelp(
            "Branches of different widths: 2,1,1 gives the first half of every width.", valueName: "shares"),
        transform: { text in
            let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
            guard numbers.allSatisfy({ $0 != nil }) else {
                throw ValidationError("give a whole number for each branch, for example 2,1,1")
            }
            return numbers.compactMap { $0 }
        })
    var shares: [Int]?

    @OptionGroup var fattenOption: FattenOption

    @Option(
        help: ArgumentHelp(
            "Branches as lcp search writes them, for example 8x16k3+p-32k3+-48-24/concat: 8 branches, convolutions of 16 and 32 channels, 3 x 3, each with one behind it, the first of these pooled (+p), and fully connected layers of 48 and 24. 16k3s is separable, ++ are two convolutions more.",
            valueName: "shape"),
        transform: { text in
            guard let shape = BranchShape(text) else {
                throw ValidationError("give a shape as lcp search writes it, for example 8x14k5-14k3s-84-42/sum")
            }
            return shape
        })
    var shape: BranchShape?

    var fatten: Fattening { fattenOption.fatten }

    func validate() throws {
        if shape != nil, branches != nil || shares != nil || fatten != .none {
            throw ValidationError("--shape says all of the branches: leave out --branches, --shares and --fatten")
        }
        if branches != nil, shares != nil { throw ValidationError("give --branches or --shares, not both") }
    }

    /// Whether anything was asked for.
    var isGiven: Bool { branches != nil || shares != nil || shape != nil || fatten != .none }

    /// - Parameter merge: what --merge says, if anything.
    func split(_ network: Network, merge: Merge?) throws -> BranchedNetwork {
        if let shape {
            guard merge == nil || merge == shape.merge else {
                throw CommandError(
                    "--shape says \(shape.merge.rawValue) and --merge another way to join: leave out one")
            }
            return try shape.network(of: network)
        }
        if let shares { return try network.split(shares: shares, fattening: fatten) }
        return try network.split(into: branches ?? 1, fattening: fatten)
    }

    /// The options as they were typed.
    var words: [String] {
        if let shape { return ["--shape \(shape)"] }
        let parts = shares.map { "--shares \($0.map(String.init).joined(separator: ","))" }
        return [parts ?? "--branches \(branches ?? 1)"] + fatten.words
    }

    /// What a bundle of the split is called: `alexnet-split8-f40`.
    func name(_ base: String) -> String {
        if let shape { return "\(base)-split\(shape.branches)-shaped" }
        return Self.name(base, shares: shares ?? [branches ?? 1], fatten: fatten)
    }

    /// - Parameter shares: or the number of branches alone.
    static func name(_ base: String, shares: [Int], fatten: Fattening) -> String {
        "\(base)-split\(shares.map(String.init).joined(separator: "-"))" + fatten.suffix
    }
}

/// How much wider branches are made.
struct FattenOption: ParsableArguments {
    // A value may begin with a minus.
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Make the layers of a branch this much wider, in per cent; two numbers for its convolutions and its fully "
                + "connected layers: 50,0. Below 0 they are narrower: 75,-20.", valueName: "percent"),
        transform: { text in
            guard let fattening = Fattening(text) else {
                throw ValidationError(
                    "give per cent, for example 40, or 50,0 for convolutions and fully connected layers")
            }
            return fattening
        })
    var fatten = Fattening.none
}

extension Fattening {
    /// The option as it was typed; none where it says nothing.
    var words: [String] { self == .none ? [] : ["--fatten \(self)"] }

    /// For the name of a bundle: `-f40`, `-f50-0`, `-f75-m20` for 20 per cent narrower.
    var suffix: String { self == .none ? "" : "-f" + "\(self)".replacing("-", with: "m").replacing(",", with: "-") }

    /// For people.
    var phrase: String? {
        switch self {
        case .none: nil
        case _ where convolutions == fullyConnected: Self.phrase(convolutions)
        default: "convolutions \(Self.phrase(convolutions)), fully connected layers \(Self.phrase(fullyConnected))"
        }
    }

    private static func phrase(_ percent: Int) -> String {
        percent < 0 ? "\(percent.magnitude) % narrower" : "\(percent) % wider"
    }
}

extension BranchedNetwork {
    /// Branches that are the same stand together.
    var groups: [Range<Int>] {
        var groups: [Range<Int>] = []
        for branch in branches.indices {
            if let last = groups.last, branches[last.lowerBound] == branches[branch] {
                groups[groups.count - 1] = last.lowerBound..<branch + 1
            } else {
                groups.append(branch..<branch + 1)
            }
        }
        return groups
    }

    /// A group for people.
    func groupName(_ group: Range<Int>) -> String {
        switch group.count {
        case 1: branches.count == 1 ? "the branch" : "branch \(group.lowerBound)"
        case branches.count: "each of \(group.count) branches"
        default: "branches \(group.lowerBound) to \(group.upperBound - 1), each"
        }
    }

    /// The widths of a branch, for people.
    func widths(_ branch: Int) -> String {
        branches[branch].compactMap(\.width).map(String.init).joined(separator: ", ")
    }
}
