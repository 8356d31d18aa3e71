public import LCPLocal
import LCPModels
import LCPWire

/// What a network costs on devices in one way to use them, from measured times and the links: no I/O.
///
/// The model is that of ``LowerBound``, with what was measured of lcp's own messages on top.
public struct Planner: Sendable {
    /// How the sensor writes a frame, and what that takes.
    public struct FrameCost: Sendable, Hashable {
        /// As `--encoding` has it.
        public var encoding: String
        /// Of the message.
        public var bytes: Int
        /// On one thread of this machine.
        public var encodeMilliseconds: Double
        public var decodeMilliseconds: Double

        public init(encoding: String, bytes: Int, encodeMilliseconds: Double, decodeMilliseconds: Double) {
            self.encoding = encoding
            self.bytes = bytes
            self.encodeMilliseconds = encodeMilliseconds
            self.decodeMilliseconds = decodeMilliseconds
        }
    }

    /// A network in so many branches, and what one of them takes.
    public struct Split: Sendable, Hashable {
        public var branches: Int
        /// How much wider branches are than their share, per cent.
        public var fatten: Int
        /// Of the slowest branch, on one thread of this machine.
        public var networkMilliseconds: Double
        /// The numbers that a branch sends.
        public var outputs: Int
        /// Of the classification layer, where the branches leave that to the aggregator.
        public var joinMultiplications: Int

        public init(
            branches: Int, fatten: Int, networkMilliseconds: Double, outputs: Int, joinMultiplications: Int = 0
        ) {
            self.branches = branches
            self.fatten = fatten
            self.networkMilliseconds = networkMilliseconds
            self.outputs = outputs
            self.joinMultiplications = joinMultiplications
        }
    }

    /// One way to use the devices.
    public struct Candidate: Sendable, Hashable, Encodable {
        public var branches: Int
        public var fatten: Int
        /// Workers of each branch.
        public var replicas: Int
        public var encoding: String
        public var features: String
        /// From capture to prediction, with no other frame on its way.
        public var latencyMilliseconds: Double
        /// What the part that is busiest for a frame lets through.
        public var framesPerSecond: Double
        /// What that part is.
        public var bottleneck: String
        /// The parts of the latency.
        public var linkMilliseconds: Double
        public var decodeMilliseconds: Double
        public var networkMilliseconds: Double
        /// Its messages.
        public var frame: FrameCosts.Frame

        enum CodingKeys: String, CodingKey {
            case branches, replicas, encoding, features, bottleneck
            case fatten = "fatten_percent"
            case latencyMilliseconds = "latency_ms"
            case framesPerSecond = "frames_per_s"
            case linkMilliseconds = "link_ms"
            case decodeMilliseconds = "decode_ms"
            case networkMilliseconds = "network_ms"
        }
    }

    /// Where sharing begins to pay, beside a candidate of several branches.
    public struct BreakEven: Sendable, Hashable, Encodable {
        public var branches: Int
        /// A network has to take longer than this on one device; nil where branches are no faster.
        public var originalMilliseconds: Double?
        /// The links have to be faster than this for the network at hand; nil where no link is fast enough.
        public var megabitsPerSecond: Double?

        enum CodingKeys: String, CodingKey {
            case branches
            case originalMilliseconds = "original_ms"
            case megabitsPerSecond = "mbit_per_s"
        }
    }

    public var link: DeviceProfile.Link
    public var slowness: Double
    public var devices: Int
    public var frames: [FrameCost]
    public var splits: [Split]
    /// What messages cost the broker and the aggregator.
    public var costs: FrameCosts
    /// Of a prediction.
    public var predictionBytes = 1000
    /// What a message takes of lcp's roles and the broker besides its bytes, milliseconds for the way of a frame: measured, see
    /// `Documentation/speedup.md`.
    public var overheadMilliseconds = Self.usualOverheadMilliseconds
    static let usualOverheadMilliseconds = 1.5

    public init(
        link: DeviceProfile.Link, slowness: Double, devices: Int, frames: [FrameCost], splits: [Split],
        costs: FrameCosts = .usual
    ) {
        self.link = link
        self.slowness = slowness
        self.devices = devices
        self.frames = frames
        self.splits = splits
        self.costs = costs
    }

    /// What a plan is to reach.
    public enum Goal: String, Sendable, CaseIterable {
        /// The least time from capture to prediction.
        case latency
        /// The most frames a second, and the least time among equals.
        case frames
    }

    /// All ways to use the devices, the best first.
    public func candidates(for goal: Goal) -> [Candidate] {
        let all = splits.filter { $0.branches <= devices }.flatMap { split in
            frames.flatMap { frame in
                [FeatureEncoding.fp32, .fp16, .int8].map { candidate(split, frame, $0) }
            }
        }
        return all.sorted {
            switch goal {
            case .latency: ($0.latencyMilliseconds, $0.features) < ($1.latencyMilliseconds, $1.features)
            case .frames: ($1.framesPerSecond, $0.latencyMilliseconds) < ($0.framesPerSecond, $1.latencyMilliseconds)
            }
        }
    }

    private func time(_ bytes: Int) -> Double {
        Double(LinkCheck.wireBytes(bytes + LowerBound.topicBytes)) / link.bytesPerSecond * 1000
    }

    private func candidate(_ split: Split, _ frame: FrameCost, _ features: FeatureEncoding) -> Candidate {
        let feature = (features == .fp32 ? 128 : 160) + split.outputs * features.dtype.size
        let (decode, network) = (frame.decodeMilliseconds * slowness, split.networkMilliseconds * slowness)
        let bound = LowerBound(
            link: link, branches: split.branches, featureBytes: feature, predictionBytes: predictionBytes,
            networkMilliseconds: network)
        let latency =
            bound.milliseconds(inputBytes: frame.bytes, encode: frame.encodeMilliseconds, decode: decode)
            + overheadMilliseconds
        let replicas = devices / split.branches
        let branches = Double(split.branches)
        let messages = FrameCosts.Frame(
            branches: split.branches, inputBytes: frame.bytes, featureBytes: feature, predictionBytes: predictionBytes,
            joinMultiplications: split.joinMultiplications)
        // What each is busy with for a frame.
        let parts = [
            ("the devices", (decode + network) / Double(replicas)),
            ("the sensor's link", time(frame.bytes)),
            (
                "the broker's link",
                branches * time(frame.bytes) + branches * time(feature) + time(predictionBytes)
            ),
            ("the aggregator's link", branches * time(feature)),
            ("the broker", costs.microseconds(.broker, messages).busy / 1000),
            ("the aggregator", costs.microseconds(.aggregator, messages).busy / 1000),
        ]
        let busiest = parts.max { $0.1 < $1.1 } ?? parts[0]
        return Candidate(
            branches: split.branches, fatten: split.fatten, replicas: replicas, encoding: frame.encoding,
            features: features.rawValue, latencyMilliseconds: latency, framesPerSecond: 1000 / busiest.1,
            bottleneck: busiest.0,
            linkMilliseconds: latency - decode - network - frame.encodeMilliseconds - overheadMilliseconds,
            decodeMilliseconds: decode, networkMilliseconds: network, frame: messages)
    }

    /// Where branches begin to be sooner than the network in one piece, both with the same encodings.
    public func breakEven(_ candidate: Candidate) -> BreakEven? {
        guard candidate.branches > 1,
            let original = candidates(for: .latency).first(where: {
                $0.branches == 1 && $0.fatten == 0 && $0.encoding == candidate.encoding
                    && $0.features == candidate.features
            })
        else { return nil }
        // The network's time is the only thing that grows with the network, and the links' share the only one with the link.
        let gain = original.networkMilliseconds - candidate.networkMilliseconds
        let price = candidate.linkMilliseconds - original.linkMilliseconds
        var result = BreakEven(branches: candidate.branches)
        if gain > 0 {
            result.originalMilliseconds = original.networkMilliseconds * price / gain
            result.megabitsPerSecond = link.megabitsPerSecond * price / gain
        }
        return result
    }
}
