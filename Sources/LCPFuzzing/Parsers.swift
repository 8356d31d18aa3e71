import FoundationEssentials
import HostileInputs
import Images
import LCPDatasets
import LCPModels
import LCPONNX
import LCPPipeline
import LCPWire
import ONNX
import Tensors

extension Parser {
    /// Every parser that faces the network, or files from it.
    public static let all: [Parser] =
        [
            Parser("tensor-message", .message, seeds: Seeds.messages, read: tensorMessage),
            Parser("input", .message, seeds: { Seeds.messages($0) + Seeds.images($0) }, read: input),
            Parser("safetensors", .safetensors, seeds: Seeds.safetensors, read: safetensors),
            Parser("onnx", .onnx, seeds: Seeds.onnx, read: onnx),
            .json("model-manifest", Seeds.manifests) { try ModelBundle.manifest(decoding: $0, name: "model.json") },
            .json("model-offer", { _ in Seeds.offers }) { try ModelOffer($0) },
            .json("role-status", { _ in Seeds.statuses }) { RoleStatus($0) },
            .json("flow-plan", { _ in Seeds.flowPlans }) { FlowPlan($0) },
            .json("worker-task", { _ in Seeds.tasks }) { WorkerTask($0) },
            .json("repeat-request", { _ in Seeds.repeatRequests }) { RepeatRequest($0) },
            .json("frame-list", { _ in Seeds.frameLists }) { FrameList($0) },
            .json("aggregator-beat", { _ in Seeds.aggregatorBeats }) { AggregatorBeat($0) },
            .json("canary-offer", { _ in Seeds.canaryOffers }) { try CanaryOffer($0) },
            .json("model-request", { _ in Seeds.modelRequests }) { ModelRequest($0) },
            .json("prediction", { _ in Seeds.predictions }) { Prediction($0) },
            Parser(
                "jpeg", .plain,
                seeds: { $0.files("images", ".jpg") + $0.files("pictures", ".jpg") + Seeds.jpegs($0) }, read: image),
            Parser(
                "png", .png, seeds: { $0.files("images", ".png") + $0.files("pictures", ".png") + Seeds.pngs },
                read: image),
            Parser("webp", .plain, seeds: { $0.files("pictures", ".webp") }, read: image),
            Parser("gif", .plain, seeds: { $0.files("pictures", ".gif") }, read: image),
            Parser("bmp", .plain, seeds: { $0.files("pictures", ".bmp") }, read: image),
            Parser("text-picture", .text, seeds: { Seeds.textPictures($0) }, read: image),
            Parser("idx", .plain, seeds: { _ in Seeds.idx }, read: idx),
            Parser("cifar", .plain, seeds: { _ in Seeds.cifar }, read: cifar),
            Parser("tar", .tar, seeds: { _ in Seeds.tar }, read: tar),
            Parser("gzip", .plain, seeds: { _ in Seeds.gzip }, read: gzip),
            Parser("fetch-record", .text, seeds: { _ in Seeds.records }, read: fetchRecord),
        ] + signals

    /// A parser of JSON. What it accepts must come back when it is written and read again.
    ///
    /// - Parameter read: the parser; nil is a refusal without a sentence.
    static func json<Value: Codable & Equatable & SendableMetatype>(
        _ name: String, _ seeds: @escaping @Sendable (Fixtures) -> [[UInt8]],
        read: @escaping @Sendable ([UInt8]) throws -> Value?
    ) -> Parser {
        Parser(name, .json, seeds: { seeds($0).flatMap { [$0] + Seeds.json(from: $0) } }) { bytes in
            guard let value = try read(bytes) else { return .refused(nil) }
            let written: [UInt8]
            do { written = Array(try JSONEncoder().encode(value)) } catch {
                throw Violation("\(name) accepts what cannot be written: \(error)")
            }
            guard try roundTrip(name, { try read(written) }) == value else {
                throw Violation("\(name) reads something else after it was written")
            }
            return .accepted
        }
    }

    private static func roundTrip<Value>(_ name: String, _ read: () throws -> Value) throws(Violation) -> Value {
        do { return try read() } catch { throw Violation("\(name) does not read what it wrote: \(error)") }
    }

    /// The graph, and every weight that the network takes.
    private static func onnx(_ bytes: [UInt8]) throws -> Outcome {
        let model = try ONNXModel(decoding: bytes, name: "net.onnx")
        let found = try ONNXImport(model, options: .init(name: "net"))
        let network = try found.network.split(into: 1)
        for layer in found.weights.branches[0] + [found.weights.merge] {
            for stream in [layer?.weight, layer?.bias, layer?.runningMean, layer?.runningVariance] {
                guard let stream else { continue }
                var count = 0
                try stream.read { count += $0.count }
                guard count == stream.count else { throw Violation("onnx has \(count) weights of \(stream.count)") }
            }
        }
        do { try network.validate() } catch { throw Violation("onnx accepts what is no network: \(error)") }
        return .accepted
    }

    private static func tensorMessage(_ bytes: [UInt8]) throws -> Outcome {
        let header = try bytes.withUnsafeBytes { try TensorMessage.decode($0) }
        let data = bytes[header.size...]
        if header.encoding == .raw { _ = try Tensor(dtype: header.dtype, shape: header.shape, bytes: Array(data)) }
        guard TensorMessage.encode(header, data: data, checksum: bytes[10] & 1 != 0) == bytes else {
            throw Violation("a tensor message was accepted that is written otherwise")
        }
        return .accepted
    }

    /// As the workers of grey and of coloured models do, whose images and messages are small enough to be made often.
    private static func input(_ bytes: [UInt8]) throws -> Outcome {
        var refusal: InputError?
        for channels in [1, 3] {
            let shape = FeatureMapShape(height: 28, width: 28, channels: channels)
            let decoder = InputDecoder(shape: shape, imageLimits: .init(maximumPixels: 1 << 14))
            do {
                let (identity, input) = try bytes.withUnsafeBytes { try decoder.decode($0) }
                let (size, expected) =
                    switch input {
                    case .pixels(let range): (range.count, shape.elementCount)
                    case .normalized(let range): (range.count, 4 * shape.elementCount)
                    case .decoded(let pixels, _): (pixels.count, shape.elementCount)
                    }
                guard size == expected else {
                    throw Violation("an input of \(size) bytes came out where \(expected) are due")
                }
                guard identity.session == 0 || bytes.starts(with: Array("LCPT".utf8)) else {
                    throw Violation("a bare input has a session")
                }
                return .accepted
            } catch let error as InputError {
                guard !error.reason.isEmpty, error.reason.allSatisfy({ $0.isASCII && !$0.isWhitespace }) else {
                    throw Violation("the counter \(error.reason.debugDescription) is no name")
                }
                refusal = error
            }
        }
        return .refused(refusal?.description)
    }

    private static func safetensors(_ bytes: [UInt8]) throws -> Outcome {
        let file = try Safetensors(decoding: bytes)
        let written = file.encoded()
        guard try roundTrip("safetensors", { try Safetensors(decoding: written) }) == file else {
            throw Violation("a safetensors file reads otherwise after it was written")
        }
        return .accepted
    }

    private static func image(_ bytes: [UInt8]) throws -> Outcome {
        let limits = ImageLimits(maximumPixels: 1 << 14, maximumBytes: 1 << 20)
        let fits = [.stretch, .crop(shorter: 40), .letterbox(grey: 114)].map { (mode: ImageFit.Mode) in
            WantedImageSize.fitted(.init(height: 28, width: 28, mode: mode))
        }
        for (channels, size) in [(1, fits[0]), (3, fits[1]), (1, fits[2]), (3, .any)] {
            let image = try bytes.withUnsafeBytes {
                try Image(decoding: $0, channels: channels, size: size, limits: limits)
            }
            guard image.height * image.width <= limits.maximumPixels, image.channels == channels else {
                throw Violation("an image of \(image.height) × \(image.width) × \(image.channels) came out")
            }
            _ = image.resized(height: 28, width: 28)
        }
        return .accepted
    }

    private static func idx(_ bytes: [UInt8]) throws -> Outcome {
        let rank = bytes.count > 3 && bytes[3] == 1 ? 1 : 3
        let (dimensions, data) = try IDX.decode(bytes, rank: rank, name: "file")
        guard dimensions.count == rank, dimensions.reduce(1, *) == data.count else {
            throw Violation("an IDX file's dimensions are not its data's")
        }
        return .accepted
    }

    private static func cifar(_ bytes: [UInt8]) throws -> Outcome {
        let record: CIFAR.Record = bytes.count % 3074 == 0 ? .hundred : .ten
        let images = try CIFAR.decode(bytes, record, name: "file")
        guard images.count == images.labels.count, images.count > 0 else {
            throw Violation("CIFAR's images and labels are not as many")
        }
        return .accepted
    }

    private static func tar(_ bytes: [UInt8]) throws -> Outcome {
        for entry in try Tar.files(in: bytes, name: "archive") {
            guard entry.range.lowerBound >= 512, entry.range.upperBound <= bytes.count else {
                throw Violation("a file lies outside its archive")
            }
        }
        return .accepted
    }

    private static func gzip(_ bytes: [UInt8]) throws -> Outcome {
        let limit = 1 << 20
        guard try Gzip.decompress(bytes, limit: limit, name: "file").count <= limit else {
            throw Violation("more came out of a gzip file than is allowed")
        }
        return .accepted
    }

    private static func fetchRecord(_ bytes: [UInt8]) -> Outcome {
        let record = FetchRecord(String(decoding: bytes, as: UTF8.self))
        guard FetchRecord(record.text) == record else { return .refused(nil) }
        return .accepted
    }
}
