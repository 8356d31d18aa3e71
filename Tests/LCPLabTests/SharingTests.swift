import LCPModels
import LCPWire
import Platform
import Synchronization
import Testing

@testable import LCPLab

/// Devices in one process: what one sends lies there until the other takes it.
private final class Post: Sendable {
    private let messages = Mutex<[String: [[UInt8]]]>([:])

    func put(_ bytes: [UInt8], from: Int, to: Int) {
        messages.withLock { $0["\(from) \(to)", default: []].append(bytes) }
    }

    /// Waits until there is one.
    func take(from: Int, to: Int) -> [UInt8] {
        while true {
            let found = messages.withLock { messages -> [UInt8]? in
                guard messages["\(from) \(to)"]?.isEmpty == false else { return nil }
                return messages["\(from) \(to)"]?.removeFirst()
            }
            if let found { return found }
            sleepThread(until: .now + .microseconds(100))
        }
    }
}

private final class LocalMesh: ProgramMesh {
    private let (device, post): (Int, Post)
    init(_ device: Int, _ post: Post) { (self.device, self.post) = (device, post) }

    func exchange(
        _ sends: [(to: Int, bytes: [UInt8])], receive: [(from: Int, count: Int)], _ clock: DeviceClock
    ) throws -> [[UInt8]] {
        for send in sends { post.put(send.bytes, from: device, to: send.to) }
        return receive.map { expected in
            let bytes = post.take(from: expected.from, to: device)
            #expect(bytes.count == expected.count)
            return bytes
        }
    }
}

@Suite struct SharingTests {
    /// Runs all devices of a shared network on a picture, each on a thread, and joins their answers.
    private static func logits(_ shared: SharedNetwork, _ pixels: [UInt8]) throws -> [Float] {
        let (programs, weights) = (try shared.programs(), try shared.weights())
        let (post, box) = (Post(), Box())
        let runners = try programs.map {
            try ProgramRunner($0, weights, preprocessing: .usual(for: shared.network.input), encoding: .fp32)
        }
        let done = Semaphore()
        for (device, runner) in runners.enumerated() {
            nonisolated(unsafe) let runner = runner
            try startThread(name: "device", stackSize: 4 << 20) {
                let clock = DeviceClock(slowness: 1, delay: .zero)
                let answer = try? runner.run(pixels, LocalMesh(device, post), clock)
                box.answers.withLock { $0[device] = answer }
                done.signal()
            }
        }
        for _ in runners { done.wait() }
        var result = [Float](repeating: 0, count: shared.network.classes)
        let adds = try shared.addsAnswers()
        for device in runners.indices {
            let answer = try #require(box.answers.withLock { $0[device] })
            for (index, value) in answer.values.enumerated() {
                if adds { result[index] += value } else { result[answer.first + index] = value }
            }
        }
        return result
    }

    private final class Box: Sendable {
        let answers = Mutex<[Int: (first: Int, values: [Float])]>([:])
    }

    private static func pixels(_ input: FeatureMapShape) -> [UInt8] {
        var random = SeededGenerator(seed: 7)
        return (0..<input.elementCount).map { _ in UInt8(random.index(256)) }
    }

    private static let small = FeatureMapShape(height: 32, width: 32, channels: 3)

    /// A network of every kind of layer that is divided.
    private static let networks: [Network] = [
        .lenet, Network.alexnet.with(input: FeatureMapShape(height: 95, width: 95, channels: 3), classes: 20),
        Network.resnet18.with(input: small, classes: 12), Network.resnet50.with(input: small, classes: 12),
        Network.mobilenet.with(input: small, classes: 12),
        Network(
            name: "plain", input: small,
            layers: [
                .convolution(outputs: 16, kernel: 3, padding: 1), .relu, .maxPool(size: 2, stride: 2),
                .convolution(outputs: 8, kernel: 3, padding: 1), .relu,
                .convolution(outputs: 24, kernel: 3, stride: 2, padding: 1), .maxPool(size: 2, stride: 2), .relu6,
                .fullyConnected(outputs: 40), .relu, .fullyConnected(outputs: 9), .relu,
            ], classes: 11, merge: .concat),
    ]

    @Test("Model parallelism gives the original's result", arguments: networks, [2, 3, 4])
    func modelParallelismIsExact(network: Network, devices: Int) throws {
        let pixels = Self.pixels(network.input)
        let found = try Self.logits(SharedNetwork(.modelParallel, network, devices: devices), pixels)
        let expected = try OriginalNetwork(network).logits(of: pixels)
        let largest = try #require(expected.map(\.magnitude).max())
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) <= 1e-4 * largest })
        #expect(largest > 0)
    }

    @Test("A layer is divided in the way that sends less")
    func fewerBytesAreSent() throws {
        // 64 channels of 8 × 8 become 4: the sums are fewer numbers than the activations.
        let narrowing = Network(
            name: "narrowing", input: FeatureMapShape(height: 8, width: 8, channels: 3),
            layers: [.convolution(outputs: 64, kernel: 1), .relu, .convolution(outputs: 4, kernel: 1), .relu],
            classes: 4,
            merge: .concat)
        let program = try SharedNetwork(.modelParallel, narrowing, devices: 2).programs()[0]
        let sent = program.steps.flatMap { step -> [DeviceProgram.Send] in
            if case .exchange(let sends, _) = step { sends } else { [] }
        }
        #expect(sent.map(\.channels) == [2..<4])
    }

    @Test("Networks that cannot be divided say why")
    func refusals() {
        #expect(throws: NetworkError("model parallelism does not divide local response normalisation over 9")) {
            _ = try SharedNetwork(.modelParallel, .cifarnet, devices: 2).programs()
        }
        #expect(throws: NetworkError.self) { _ = try SharedNetwork(.modelParallel, .lenet, devices: 8).programs() }
        #expect(throws: NetworkError.self) { _ = try SharedNetwork(.splitNet, .alexnet, devices: 3).programs() }
        #expect(throws: NetworkError.self) { _ = try SharedNetwork(.splitNet, .resnet18, devices: 2).programs() }
    }

    @Test("A leaf of SplitNet's tree answers as its path computed in one piece", arguments: [2, 4, 8])
    func treeIsExact(devices: Int) throws {
        let network = Network.alexnet.with(input: FeatureMapShape(height: 95, width: 95, channels: 3), classes: 20)
        let shared = SharedNetwork(.splitNet, network, devices: devices)
        let (programs, weights, pixels) = (try shared.programs(), try shared.weights(), Self.pixels(network.input))
        let found = try Self.logits(shared, pixels)
        for leaf in 0..<devices {
            // The parts from the root to the leaf, wherever they are computed, as one program.
            var path = DeviceProgram()
            var slot = path.addSlot(network.input)
            path.steps.append(.decode(into: slot))
            for part in Self.parts(to: leaf, programs) {
                let number = path.addPart(part)
                let next = path.addSlot(try part.output())
                path.steps.append(.compute(part: number, from: slot, into: next))
                slot = next
            }
            path.steps.append(.answer(slot: slot, first: 0))
            let runner = try ProgramRunner(path, weights, preprocessing: .usual(for: network.input), encoding: .fp32)
            let answer = try runner.run(pixels, LocalMesh(0, Post()), DeviceClock(slowness: 1, delay: .zero))
            guard case .answer(_, let first)? = programs[leaf].steps.last else { return #expect(Bool(false)) }
            #expect(Array(found[first..<first + answer.values.count]) == answer.values)
        }
    }

    /// The parts on the way to a leaf: those of the device that its group was sent from, down to where it parts, and its own.
    private static func parts(to leaf: Int, _ programs: [DeviceProgram]) -> [DeviceProgram.Part] {
        guard case .exchange(_, let receives)? = programs[leaf].steps.first, let receive = receives.first else {
            return programs[leaf].parts
        }
        let own = programs[leaf].parts
        return parts(to: receive.from, programs).dropLast(own.count) + own
    }
}
