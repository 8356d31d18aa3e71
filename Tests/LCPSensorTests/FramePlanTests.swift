@testable import LCPModels
import LCPWire
import Testing

@testable import LCPSensor

@Suite struct FramePlanTests {
    static let small = FeatureMapShape(height: 32, width: 32, channels: 3)
    static let large = FeatureMapShape(height: 224, width: 224, channels: 3)

    static func model(_ input: FeatureMapShape, accuracy: [String: Double] = [:]) -> ModelManifest {
        var training = ModelManifest.TrainingRecord(
            command: "", data: "", epochs: 1, seed: 1, accuracy: ["cifar10": 0.8, "other": 0.5])
        if !accuracy.isEmpty { training.encodedAccuracy = ["jpeg:80": accuracy] }
        let network = BranchedNetwork(
            base: "test", input: input, branches: [[.fullyConnected(outputs: 3)]], classes: 8, merge: .concat)
        return ModelManifest(
            format: 1, name: "test", network: network, outputs: [.features],
            preprocessing: .init(mean: [0], standardDeviation: [1]), labels: [], training: training, files: [])
    }

    static func worker(_ id: String, _ tensorMessages: Int?) -> RoleStatus {
        var status = RoleStatus(state: .ready, role: .worker, id: id, birth: "1")
        status.tensorMessages = tensorMessages
        return status
    }

    @Test("Small frames stay raw, and large ones become JPEG")
    func sizes() {
        #expect(FramePlan(.fixed(Self.small), wanted: nil).encoding == .raw)
        #expect(FramePlan(.fixed(Self.large), wanted: nil).encoding == .jpeg(quality: 80))
        let edge = FeatureMapShape(height: 64, width: 128, channels: 1)
        #expect(FramePlan(.fixed(edge), wanted: nil).encoding == .raw)
        let beyond = FeatureMapShape(height: 64, width: 129, channels: 1)
        #expect(FramePlan(.fixed(beyond), wanted: nil).encoding == .jpeg(quality: 80))
    }

    @Test("Frames that are no pictures stay raw, whatever is wanted", arguments: [nil, FrameEncoding.png, .raw])
    func channels(wanted: FrameEncoding?) {
        let plan = FramePlan(.fixed(.init(height: 500, width: 500, channels: 2)), wanted: wanted)
        #expect(plan.encoding == .raw)
    }

    @Test("Where the model says that JPEG costs more than it bears, frames become PNG; what was told holds")
    func loss() {
        for (accuracy, encoding) in [
            (["cifar10": 0.799], FrameEncoding.jpeg(quality: 80)), (["cifar10": 0.796], .png),
            (["cifar10": 0.8, "other": 0.4], .png), (["unknown": 0.1], .jpeg(quality: 80)),
        ] {
            var plan = FramePlan(.fixed(Self.large), wanted: nil)
            _ = plan.update(model: Self.model(Self.large, accuracy: accuracy), workers: [])
            #expect(plan.encoding == encoding)
        }
        var told = FramePlan(.fixed(Self.large), wanted: .jpeg(quality: 40))
        _ = told.update(model: Self.model(Self.large, accuracy: ["cifar10": 0.1]), workers: [])
        #expect(told.encoding == .jpeg(quality: 40))
    }

    @Test(
        "While a worker reads version 1 only, frames are raw, and it is named once",
        arguments: [nil, FrameEncoding.png])
    func oldWorkers(wanted: FrameEncoding?) {
        var plan = FramePlan(.fixed(Self.large), wanted: wanted)
        let usual = plan.encoding
        #expect(usual != .raw)
        let sentences = plan.update(model: nil, workers: [Self.worker("new", 2), Self.worker("old", nil)])
        #expect(plan.encoding == .raw && sentences.count == 1 && sentences.first?.contains("worker old") == true)
        #expect(plan.update(model: nil, workers: [Self.worker("old", 1)]) == [])
        #expect(plan.update(model: nil, workers: [Self.worker("new", 2)]).count == 1)
        #expect(plan.encoding == usual)
    }

    @Test("Pictures take the model's size, also when it changes; other frames are told that they do not fit")
    func modelSizes() {
        var pictures = FramePlan(.pictures(Self.small), wanted: nil)
        #expect(pictures.update(model: nil, workers: []) == [])
        _ = pictures.update(model: Self.model(Self.large), workers: [])
        #expect(pictures.shape == Self.large && pictures.encoding == .jpeg(quality: 80))
        let sentences = pictures.update(model: Self.model(Self.small), workers: [])
        #expect(pictures.shape == Self.small && pictures.encoding == .raw)
        #expect(sentences.count == 1 && sentences.first?.hasPrefix("frames are 32×32×3, sent as raw") == true)
        var fixed = FramePlan(.fixed(Self.small), wanted: nil)
        #expect(fixed.update(model: Self.model(Self.small), workers: []).filter { $0.contains("no branch") } == [])
        let complaints = fixed.update(model: Self.model(Self.large), workers: [])
        #expect(fixed.shape == Self.small && complaints.contains { $0.contains("test takes 224×224×3") })
        #expect(fixed.update(model: Self.model(Self.large), workers: []) == [])
    }

    @Test("An encoding is written and read the same way", arguments: ["raw", "png", "jpeg:1", "jpeg:80", "jpeg:100"])
    func encodings(text: String) { #expect(FrameEncoding(text)?.description == text) }

    @Test(
        "What is no encoding is refused",
        arguments: ["", "jpg", "jpeg:", "jpeg:0", "jpeg:101", "jpeg:+5", "jpeg:8 ", "jpeg:80:1", "JPEG", "png:1"])
    func noEncodings(text: String) { #expect(FrameEncoding(text) == nil) }

    @Test("JPEG without a quality has 80") func usualQuality() { #expect(FrameEncoding("jpeg") == .jpeg(quality: 80)) }
}
