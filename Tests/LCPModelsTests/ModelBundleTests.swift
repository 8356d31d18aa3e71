import Foundation
import LCPModels
import Platform
import Signals
import Testing

@Suite struct ModelBundleTests {
    /// A folder that is gone when the test is.
    final class Folder {
        let path = NSTemporaryDirectory() + "lcp-test-\(UUID().uuidString)"
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    func write(_ folder: Folder, branches: Int = 4, seed: UInt64 = 1) throws -> (ModelBundle, ModelParameters) {
        var random = SeededGenerator(seed: seed)
        let network = try Network.lenet.split(into: branches)
        let parameters = try ModelParameters.random(for: network, using: &random)
        let bundle = try ModelBundle.write(
            name: "test", network: network, parameters: parameters,
            preprocessing: .init(mean: [0.1], standardDeviation: [0.3]), labels: (0..<10).map { "\($0)" },
            to: folder.path)
        return (bundle, parameters)
    }

    @Test(arguments: [1, 2, 4, 8])
    func whatIsWrittenIsRead(branches: Int) throws {
        let folder = Folder()
        let (written, parameters) = try write(folder, branches: branches)
        let read = try ModelBundle(path: folder.path)
        #expect(read.hash == written.hash)
        #expect(read.manifest == written.manifest)
        #expect(try read.parameters() == parameters)
    }

    @Test("A bundle for a signal has a version that programs before it refuse, and a signal that fits its input")
    func signals() throws {
        let folder = Folder()
        var random = SeededGenerator(seed: 1)
        let network = try Network.conv1d.split(into: 2)
        let parameters = try ModelParameters.random(for: network, using: &random)
        func written(_ signal: Signal) throws -> ModelManifest {
            var preprocessing = ModelManifest.Preprocessing(mean: [0, 1, 2], standardDeviation: [1, 1, 1])
            preprocessing.signal = signal
            return try ModelBundle.write(
                name: "test", network: network, parameters: parameters, preprocessing: preprocessing,
                labels: (0..<6).map { "\($0)" }, to: folder.path
            ).manifest
        }
        let signal = Signal(fields: ["a", "b", "c"], hop: 32)
        let manifest = try written(signal)
        #expect(manifest.format == 6 && manifest.preprocessing.signal == signal)
        #expect(throws: ModelBundleError.self) { try written(Signal(fields: ["a", "b"])) }
        #expect(throws: ModelBundleError.self) { try written(Signal(logMel: LogMel())) }
        _ = try written(signal)
        let file = "\(folder.path)/model.json"
        let text = try String(contentsOfFile: file, encoding: .utf8)
        try text.replacingOccurrences(of: "\"format\" : 6", with: "\"format\" : 5").write(
            toFile: file, atomically: true, encoding: .utf8)
        #expect(throws: ModelBundleError.self) { try ModelBundle(path: folder.path) }
    }

    @Test("A bundle that says how pictures are resized has a version that programs before it refuse; others have not")
    func pictures() throws {
        #expect(try write(Folder()).0.manifest.format == 1)
        let folder = Folder()
        var random = SeededGenerator(seed: 1)
        let network = try Network.lenet.split(into: 2)
        let parameters = try ModelParameters.random(for: network, using: &random)
        func written(_ resize: PictureResize?, _ background: UInt8?) throws -> ModelManifest {
            var preprocessing = ModelManifest.Preprocessing(mean: [0.1], standardDeviation: [0.3])
            (preprocessing.resize, preprocessing.background) = (resize, background)
            return try ModelBundle.write(
                name: "test", network: network, parameters: parameters, preprocessing: preprocessing,
                labels: (0..<10).map { "\($0)" }, to: folder.path
            ).manifest
        }
        for (resize, background) in [(.crop(shorter: 32), nil), (.letterbox(grey: 114), 0), (nil, 7)]
            as [(PictureResize?, UInt8?)]
        {
            let manifest = try written(resize, background)
            #expect(manifest.format == 2)
            #expect(manifest.preprocessing.resize == resize && manifest.preprocessing.background == background)
        }
        #expect(throws: ModelBundleError.self, "less than is cut out") { try written(.crop(shorter: 27), nil) }
        _ = try written(.letterbox(grey: 114), nil)
        let file = "\(folder.path)/model.json"
        let text = try String(contentsOfFile: file, encoding: .utf8)
        try text.replacingOccurrences(of: "letterbox", with: "tilt").write(
            toFile: file, atomically: true, encoding: .utf8)
        let error = #expect(throws: ModelBundleError.self) { try ModelBundle(path: folder.path) }
        #expect(error?.description.contains("preprocessing.resize.mode") == true)
        try text.replacingOccurrences(of: "\"format\" : 2", with: "\"format\" : 7").write(
            toFile: file, atomically: true, encoding: .utf8)
        let newer = #expect(throws: ModelBundleError.self) { try ModelBundle(path: folder.path) }
        #expect(newer?.description.contains("update lcp") == true)
    }

    @Test(
        "In half precision weights take half of the bytes and are the nearest numbers; biases and normalisations stay")
    func half() throws {
        let folder = Folder()
        let network = try Network.named("cifarnet-bn").split(into: 2)
        var random = SeededGenerator(seed: 4)
        let parameters = try ModelParameters.random(for: network, using: &random)
        let bundles = try [false, true].map { isHalf in
            try ModelBundle.write(
                name: "net", network: network, parameters: parameters, preprocessing: .usual(for: network.input),
                labels: (0..<10).map(String.init), isHalf: isHalf, to: "\(folder.path)/\(isHalf)")
        }
        #expect(bundles[1].manifest.format == 1 && bundles[1].byteCount * 100 < bundles[0].byteCount * 52)
        #expect(try bundles[0].parameters() == parameters)
        let read = try bundles[1].parameters()
        for (layer, exact) in zip(
            read.branches.joined() + [read.merge], parameters.branches.joined() + [parameters.merge])
        {
            guard let layer, let exact else { continue }
            #expect(layer.bias == exact.bias && layer.runningVariance == exact.runningVariance)
            let isNear = zip(layer.weight, exact.weight).allSatisfy { abs($0 - $1) <= abs($1) / 2048 + 3e-8 }
            #expect(isNear && (layer.weight != exact.weight) == exact.runningMean.isEmpty)
        }
    }

    @Test func theHashIsTheManifests() throws {
        let (first, second) = (Folder(), Folder())
        #expect(try write(first).0.hash != write(second, seed: 2).0.hash)
    }

    @Test func aMissingBundleIsNamed() {
        let error = #expect(throws: ModelBundleError.self) { try ModelBundle(path: "/nowhere/bundle") }
        #expect(error?.description.contains("/nowhere/bundle") == true)
    }

    @Test(arguments: ["branch-2.safetensors", "merge.safetensors", "model.json"])
    func everyTruncationIsNoticed(file: String) throws {
        let folder = Folder()
        _ = try write(folder)
        let path = "\(folder.path)/\(file)"
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        // model.json ends with a line break, and its last brace is the one before.
        for count in [0, 1, bytes.count / 2, bytes.count - 2] {
            try bytes.prefix(count).write(to: URL(fileURLWithPath: path))
            let error = #expect(throws: ModelBundleError.self, "\(count) bytes of \(file)") {
                try ModelBundle(path: folder.path).parameters()
            }
            #expect(error?.description.contains(file) == true)
        }
    }

    @Test func aFlippedBitIsNoticed() throws {
        let folder = Folder()
        _ = try write(folder)
        let url = URL(fileURLWithPath: "\(folder.path)/branch-1.safetensors")
        var bytes = try Data(contentsOf: url)
        bytes[bytes.count - 3] ^= 0x10
        try bytes.write(to: url)
        #expect(throws: ModelBundleError.self) { try ModelBundle(path: folder.path).branchParameters(1) }
        // A worker of another branch does not care.
        #expect(throws: Never.self) { try ModelBundle(path: folder.path).branchParameters(0) }
    }

    @Test(arguments: [
        ("\"format\":1", "\"format\":7", "version"), ("\"classes\":10", "\"classes\":-10", "usable"),
        ("\"outputs\":30", "\"outputs\":99999999", "usable"),
        ("branch-0.safetensors", "../../etc/passwd", "files"),
    ])
    func aManifestThatLiesIsRefused(original: String, replacement: String, word: String) throws {
        let folder = Folder()
        _ = try write(folder)
        let url = URL(fileURLWithPath: "\(folder.path)/model.json")
        let text = try String(contentsOf: url, encoding: .utf8)
        var compact = text
        // Whatever the white space, the field is found.
        for variant in [original, original.replacingOccurrences(of: "\":", with: "\" : ")] {
            compact = compact.replacingOccurrences(of: variant, with: replacement)
        }
        try #require(compact != text)
        try compact.write(to: url, atomically: true, encoding: .utf8)
        let error = #expect(throws: ModelBundleError.self) { try ModelBundle(path: folder.path).parameters() }
        #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
    }
}
