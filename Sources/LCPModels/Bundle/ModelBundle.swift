import FoundationEssentials
package import Platform
public import Tensors

/// A folder with a model: `model.json`, `branch-K.safetensors` for every branch, `merge.safetensors`.
///
/// Reading checks every file's SHA-256 before its weights are used. A worker reads only its branch, an aggregator only the
/// classification layer.
public struct ModelBundle: Sendable {
    public let manifest: ModelManifest
    /// The first 16 bytes of the SHA-256 of `model.json`.
    public let hash: ModelHash
    /// The folder.
    public let path: String

    /// The network of the bundle.
    public var network: BranchedNetwork { manifest.network }

    /// Opens a bundle: reads and checks `model.json`, not yet the weights.
    ///
    /// - Throws: ``ModelBundleError``, one sentence with the file and the reason.
    public init(path: String) throws(ModelBundleError) {
        let file = path + "/model.json"
        guard FileIO.exists(file) else {
            throw ModelBundleError("there is no model bundle at \(path): a bundle is a folder with a model.json in it")
        }
        let bytes: [UInt8]
        do { bytes = try FileIO.read(file, limit: 16 << 20) } catch { throw ModelBundleError("\(error)") }
        manifest = try Self.manifest(decoding: bytes, name: file)
        guard let hash = ModelHash(SHA256.digest(bytes)) else { throw ModelBundleError("\(file) has no hash") }
        self.hash = hash
        self.path = path
    }

    /// Reads and checks the bytes of a `model.json`.
    ///
    /// - Parameter file: what the error calls it.
    /// - Throws: ``ModelBundleError``.
    package static func manifest(
        decoding bytes: [UInt8], name file: String
    ) throws(ModelBundleError) -> ModelManifest {
        struct Version: Decodable { let format: Int }
        guard let version = try? JSONDecoder().decode(Version.self, from: Data(bytes)) else {
            throw ModelBundleError(
                "\(file) is not the JSON of a model bundle: it may be truncated; copy the bundle again")
        }
        guard ModelManifest.formatVersions.contains(version.format) else {
            throw ModelBundleError(
                "\(file) has format version \(version.format), this program reads up to \(ModelManifest.formatVersions.upperBound): update lcp"
            )
        }
        do {
            let manifest = try JSONDecoder().decode(ModelManifest.self, from: Data(bytes))
            try check(manifest)
            return manifest
        } catch let error as NetworkError {
            throw ModelBundleError("\(file) describes no usable model: \(error)")
        } catch {
            throw ModelBundleError("\(file) is not the JSON of a model bundle: \(error.reason)")
        }
    }

    /// The weights of one branch.
    ///
    /// - Throws: ``ModelBundleError`` where the file is missing, damaged or not this model's.
    public func branchParameters(_ branch: Int) throws(ModelBundleError) -> BranchParameters {
        if manifest.arithmetic == .int8 { return try integerBranch(branch).parameters }
        return try readBranch(branch) { file in try network.parameters(of: branch, from: file) }
    }

    /// One branch in numbers of eight bits.
    ///
    /// - Throws: ``ModelBundleError`` where the file is missing, damaged or not this model's, or the model has none.
    public func integerBranch(_ branch: Int) throws(ModelBundleError) -> IntegerBranch {
        guard manifest.arithmetic == .int8 else {
            throw ModelBundleError(
                "\(manifest.name.printable) has no weights in eight bits: lcp quantize makes such a model of it")
        }
        return try readBranch(branch) { file in try network.integerBranch(branch, from: file) }
    }

    private func readBranch<Weights>(
        _ branch: Int, _ read: (Safetensors) throws -> Weights
    ) throws(ModelBundleError) -> Weights {
        guard network.branches.indices.contains(branch) else {
            throw ModelBundleError(
                "\(manifest.name.printable) has branches 0 to \(network.branches.count - 1), there is no branch \(branch)"
            )
        }
        let file = try readFile(branch)
        do { return try read(file) } catch {
            throw ModelBundleError(
                "\(path)/\(manifest.files[branch].name) does not fit \(manifest.name.printable): \(error)")
        }
    }

    /// The classification layer: the whole W and b.
    ///
    /// - Throws: ``ModelBundleError`` where the file is missing, damaged or not this model's.
    public func mergeParameters() throws(ModelBundleError) -> LayerParameters {
        let index = network.branches.count
        let file = try readFile(index)
        do { return try network.mergeParameters(from: file) } catch {
            throw ModelBundleError(
                "\(path)/\(manifest.files[index].name) does not fit \(manifest.name.printable): \(error)")
        }
    }

    /// The bytes of all its files.
    package var byteCount: Int {
        (["model.json"] + manifest.files.map(\.name)).reduce(0) { $0 + FileIO.size("\(path)/\($1)") }
    }

    /// All weights.
    public func parameters() throws(ModelBundleError) -> ModelParameters {
        var branches: [BranchParameters] = []
        for branch in network.branches.indices { branches.append(try branchParameters(branch)) }
        return ModelParameters(branches: branches, merge: try mergeParameters())
    }

    /// Makes the folder of a bundle, keeps other processes out of it, and shows that it can be written.
    ///
    /// - Parameter besides: files that may be there already.
    /// - Returns: what keeps others out, as long as it is used; nil where another process is at work in the folder.
    /// - Throws: ``ModelBundleError``, also for a folder with other things in it: a bundle does not mix with those.
    package static func prepareFolder(_ path: String, besides: [String] = []) throws(ModelBundleError) -> FolderLock? {
        do {
            guard let lock = try FolderLock.making(path) else { return nil }
            defer { withExtendedLifetime(lock) {} }
            // What a writer that was killed has left is no obstacle.
            let isKnown = (["model.json"] + besides).contains { FileIO.exists("\(path)/\($0)") }
            guard try isKnown || FileIO.list(path).allSatisfy(isWeights) else {
                throw ModelBundleError("\(path) has other things in it: name a new folder for the bundle")
            }
            do { try FileIO.write([], to: "\(path)/.writable") } catch {
                FileIO.removeEmptyFolder(path)
                throw error
            }
            FileIO.remove("\(path)/.writable")
            return lock
        } catch let error as ModelBundleError {
            throw error
        } catch {
            throw ModelBundleError("\(error)")
        }
    }

    /// Removes a bundle's own files and nothing else that lies in its folder.
    package static func removeFiles(at path: String) {
        for name in (try? FileIO.list(path)) ?? [] where name == "model.json" || isWeights(name) {
            FileIO.remove("\(path)/\(name)")
        }
        FileIO.removeEmptyFolder(path)
    }

    /// Whether a file has the name of a bundle's weights, or of a part of them.
    private static func isWeights(_ name: String) -> Bool {
        let stem = name.prefix { $0 != "." }
        return (stem == "merge" || stem.hasPrefix("branch-") && Int(stem.dropFirst(7)) != nil)
            && (name == "\(stem).safetensors" || name.hasPrefix("\(stem).safetensors.") && name.hasSuffix(".part"))
    }

    /// Removes a bundle: its files, its empty folders, and its own folder where nothing else is in it.
    package static func remove(at path: String) {
        for name in (try? FileIO.list(path)) ?? [] {
            FileIO.remove("\(path)/\(name)")
            FileIO.removeEmptyFolder("\(path)/\(name)")
        }
        FileIO.removeEmptyFolder(path)
    }

    /// Writes a bundle whose weights are in memory: see ``write(name:network:weights:preprocessing:labels:training:missingScale:to:)``.
    @discardableResult
    public static func write(
        name: String, network: BranchedNetwork, parameters: ModelParameters, preprocessing: ModelManifest.Preprocessing,
        labels: [String], training: ModelManifest.TrainingRecord? = nil, missingScale: [Float]? = nil,
        isHalf: Bool = false, to path: String
    ) throws(ModelBundleError) -> ModelBundle {
        try write(
            name: name, network: network, weights: ModelWeights(parameters), preprocessing: preprocessing,
            labels: labels, training: training, missingScale: missingScale, isHalf: isHalf, to: path)
    }

    /// Writes a bundle, the weights a piece at a time. `model.json` comes last, so that a bundle that was cut short is not taken
    /// for one.
    ///
    /// - Parameter isHalf: whether weights are written in half precision, in half of the bytes; biases and normalisations are not.
    /// - Throws: ``ModelBundleError``, for example on a full disk; an older bundle at the same path may then have to be
    ///   written again, and says so when it is read.
    @discardableResult
    public static func write(
        name: String, network: BranchedNetwork, weights: ModelWeights, preprocessing: ModelManifest.Preprocessing,
        labels: [String], training: ModelManifest.TrainingRecord? = nil, missingScale: [Float]? = nil,
        isHalf: Bool = false, to path: String
    ) throws(ModelBundleError) -> ModelBundle {
        let manifest = ModelManifest(
            format: ModelManifest.formatVersion(for: preprocessing, arithmetic: nil, network: network), name: name,
            network: network, outputs: [], preprocessing: preprocessing, labels: labels, training: training,
            missingScale: missingScale,
            files: [])
        return try write(manifest, merge: weights.merge, isHalf: isHalf, to: path) { branch in
            try network.entries(of: branch, weights.branches[branch], isHalf: isHalf)
        }
    }

    /// Writes a bundle of branches in numbers of eight bits; the classification layer stays in single precision.
    ///
    /// - Throws: ``ModelBundleError``.
    @discardableResult
    public static func write(
        name: String, network: BranchedNetwork, integers: [IntegerBranch], merge: LayerParameters,
        preprocessing: ModelManifest.Preprocessing, labels: [String], training: ModelManifest.TrainingRecord? = nil,
        missingScale: [Float]? = nil, to path: String
    ) throws(ModelBundleError) -> ModelBundle {
        let manifest = ModelManifest(
            format: ModelManifest.formatVersion(for: preprocessing, arithmetic: .int8, network: network), name: name,
            network: network, outputs: [], preprocessing: preprocessing, labels: labels, training: training,
            arithmetic: .int8,
            missingScale: missingScale, files: [])
        return try write(manifest, merge: LayerWeights(merge), to: path) { branch in
            try network.entries(of: branch, integers[branch])
        }
    }

    /// - Parameter manifest: without outputs and files.
    private static func write(
        _ manifest: ModelManifest, merge: LayerWeights, isHalf: Bool = false, to path: String,
        branch entries: (Int) throws -> [SafetensorsFile.Entry]
    ) throws(ModelBundleError) -> ModelBundle {
        let isNew = !FileIO.exists("\(path)/model.json")
        do {
            var manifest = manifest
            let network = manifest.network
            try FileIO.makeFolder(path)
            func add(_ file: String, _ entries: [SafetensorsFile.Entry]) throws {
                manifest.files.append(
                    .init(name: file, sha256: try SafetensorsFile.write(entries, to: "\(path)/\(file)")))
            }
            for branch in network.branches.indices {
                manifest.outputs.append(try network.output(of: branch))
                try add("branch-\(branch).safetensors", try entries(branch))
            }
            try add("merge.safetensors", try network.entries(merge: merge, isHalf: isHalf))
            try check(manifest)
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
            try FileIO.write(Array(try encoder.encode(manifest)) + [UInt8(ascii: "\n")], to: "\(path)/model.json")
            // Of a bundle with more branches that was there before.
            var more = network.branches.count
            while FileIO.exists("\(path)/branch-\(more).safetensors") {
                FileIO.remove("\(path)/branch-\(more).safetensors")
                more += 1
            }
        } catch {
            // A part of a bundle is of no use to anybody.
            for name in isNew ? (try? FileIO.list(path)) ?? [] : [] where isWeights(name) {
                FileIO.remove("\(path)/\(name)")
            }
            throw ModelBundleError("the bundle \(path) could not be written: \(error)")
        }
        return try ModelBundle(path: path)
    }

    private func readFile(_ index: Int) throws(ModelBundleError) -> Safetensors {
        let file = manifest.files[index]
        let full = "\(path)/\(file.name)"
        let bytes: [UInt8]
        do { bytes = try FileIO.read(full) } catch { throw ModelBundleError("\(error)") }
        guard SHA256.hex(bytes) == file.sha256 else {
            throw ModelBundleError(
                "\(full) is not the file that model.json names (its SHA-256 differs): copy the bundle again")
        }
        do { return try Safetensors(decoding: bytes) } catch {
            throw ModelBundleError("\(full) is not a safetensors file: \(error)")
        }
    }

    private static func check(_ manifest: ModelManifest) throws(NetworkError) {
        let network = manifest.network
        try network.validate()
        guard manifest.format >= 5 || !network.branches.joined().contains(where: \.cameLater) else {
            throw NetworkError(
                "it has layers that came later, and the format \(manifest.format), which has none of them")
        }
        guard network.parity == nil || manifest.format >= 4 else {
            throw NetworkError("it has a parity branch and the format \(manifest.format), which has none")
        }
        guard manifest.arithmetic == nil || manifest.format >= 3 else {
            throw NetworkError("it has weights in eight bits and the format \(manifest.format), which has none")
        }
        guard
            manifest.files.map(\.name) == network.branches.indices.map({ "branch-\($0).safetensors" }) + [
                "merge.safetensors"
            ]
        else { throw NetworkError("its files are not one for each branch and merge.safetensors") }
        guard manifest.outputs.count == network.branches.count else {
            throw NetworkError(
                "it names the outputs of \(manifest.outputs.count) of \(network.branches.count) branches")
        }
        for branch in network.branches.indices where manifest.outputs[branch] != (try network.output(of: branch)) {
            throw NetworkError(
                "branch \(branch) would send \(manifest.outputs[branch].rawValue), which is not the shorter")
        }
        guard manifest.labels.count == network.classes else {
            throw NetworkError("it has \(manifest.labels.count) labels for \(network.classes) classes")
        }
        if let scale = manifest.missingScale {
            let answering = network.parity ?? network.branches.count
            guard scale.count == answering, scale.allSatisfy({ $0.isFinite && $0 > 0 }), scale[0] == 1 else {
                throw NetworkError(
                    "its missing_scale needs a number above 0 for 0 to \(answering - 1) missing branches, the first 1"
                )
            }
        }
        let preprocessing = manifest.preprocessing
        if case .crop(let shorter) = preprocessing.resize {
            guard (max(network.input.height, network.input.width)...65_536).contains(shorter) else {
                throw NetworkError(
                    "it cuts \(network.input.height) × \(network.input.width) pixels out of pictures whose shorter side is \(shorter)"
                )
            }
        }
        if let signal = preprocessing.signal {
            guard manifest.format >= 6 else {
                throw NetworkError("it takes a signal, and has the format \(manifest.format), which has none")
            }
            let input = network.input
            if let misfit = signal.misfit(height: input.height, width: input.width, channels: input.channels) {
                throw NetworkError(misfit)
            }
        }
        guard preprocessing.mean.count == network.input.channels,
            preprocessing.standardDeviation.count == network.input.channels,
            preprocessing.mean.allSatisfy(\.isFinite),
            preprocessing.standardDeviation.allSatisfy({ $0.isFinite && $0 > 0 })
        else { throw NetworkError("its preprocessing needs a mean and a positive standard deviation per channel") }
    }
}

/// Why a bundle cannot be read or written: one sentence with what, where and what to do.
public struct ModelBundleError: Error, Hashable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
