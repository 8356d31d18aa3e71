public import LCPModels
import Platform

/// Looks for good shapes by short trainings, generation by generation: the state machine without the trainings.
///
/// A generation proposes shapes, at first known ones and then changed ones of the front so far. All of them are trained for a
/// little; the better third for three times as long, and of these the better third again (successive halving, Jamieson and
/// Talwalkar 2016).
public struct ShapeSearch: Sendable, Codable {
    /// What a shape has to keep to.
    public struct Limits: Sendable, Hashable, Codable {
        public var devices: Int
        /// In all branches and the classification layer.
        public var parameters: Int?
        /// Milliseconds of a branch, one thread.
        public var latency: Double?
        /// How branches are joined; nil for the better way.
        public var merge: Merge?

        public init(devices: Int, parameters: Int? = nil, latency: Double? = nil, merge: Merge? = nil) {
            (self.devices, self.parameters, self.latency, self.merge) = (devices, parameters, latency, merge)
        }

        var merges: [Merge] { merge.map { [$0] } ?? Merge.allCases }
    }

    /// A shape that was proposed.
    public struct Member: Sendable, Hashable, Codable {
        public var shape: BranchShape
        public var parameters: Int
        /// Of a branch.
        public var macs: Int
        /// How often it was trained on, from 0.
        public var rung = 0
        /// On images set aside, after the last training; nil before the first.
        public var accuracy: Double?
        public var generation: Int

        /// Whether another one is at least as good in both, and better in one.
        func isDominated(by other: Member) -> Bool {
            let (own, others) = (accuracy ?? 0, other.accuracy ?? 0)
            return others >= own && other.macs <= macs && (others > own || other.macs < macs)
        }
    }

    /// A training to do: of the member of that number, for so many epochs on from what it was.
    public struct Work: Sendable, Hashable {
        public var member: Int
        public var epochs: Int
    }

    /// How long a training is, by rung: 1, 3 and 9 epochs in all.
    public static let epochs = [1, 2, 6]
    /// How many shapes a generation has.
    public static let size = 18

    public let base: Network
    public let limits: Limits
    public let seed: UInt64
    public private(set) var members: [Member] = []
    public private(set) var generation = -1
    /// What is still to be trained in this rung.
    private var waiting: [Int] = []
    private var rung = 0

    /// The milliseconds of a branch of a network, one thread.
    public typealias Measure = (BranchedNetwork) throws -> Double

    /// - Parameter measure: called for every shape that is proposed, where the limits have a latency.
    /// - Throws: `NetworkError` where not one shape keeps to the limits.
    public init(base: Network, limits: Limits, seed: UInt64, measure: Measure) throws(NetworkError) {
        (self.base, self.limits, self.seed) = (base, limits, seed)
        beginGeneration(measure: measure)
        guard !members.isEmpty else {
            throw NetworkError(
                "no shape of \(base.name) in \(limits.devices) branches that was tried keeps to the limits: raise --parameters "
                    + "or --latency, or name a smaller network")
        }
    }

    // MARK: Work

    /// What is to be trained next; nil at the end of a generation.
    public var next: Work? { waiting.first.map { Work(member: $0, epochs: Self.epochs[rung]) } }

    /// Takes what the training of ``next`` came to.
    public mutating func record(accuracy: Double) {
        guard let member = waiting.first else { return }
        waiting.removeFirst()
        members[member].accuracy = accuracy
        members[member].rung = rung + 1
        guard waiting.isEmpty, rung + 1 < Self.epochs.count else { return }
        let all = members.indices.filter { members[$0].generation == generation && members[$0].rung == rung + 1 }
        rung += 1
        waiting = Array(ordered(all).prefix((all.count + 2) / 3)).sorted()
    }

    /// Proposes new shapes: changed ones of the front.
    public mutating func beginGeneration(measure: Measure) {
        generation += 1
        rung = 0
        var random = SeededGenerator(seed: seed, stream: UInt64(generation))
        var proposals: [BranchShape] = generation == 0 ? known(measure) : []
        let parents = front.map { members[$0].shape }
        var attempts = 0
        let first = members.count
        while members.count - first < Self.size, attempts < 50 * Self.size {
            attempts += 1
            let shape: BranchShape
            if proposals.isEmpty {
                let from = parents.isEmpty ? members.map(\.shape) : parents
                guard let parent = from.isEmpty ? nil : from[random.index(from.count)] else { break }
                shape = changed(parent, &random)
            } else {
                shape = proposals.removeFirst()
            }
            guard !members.contains(where: { $0.shape == shape }), let member = member(shape, measure) else { continue }
            members.append(member)
        }
        waiting = Array(first..<members.count)
    }

    /// A shape as a member, where it is possible and keeps to the limits.
    private func member(_ shape: BranchShape, _ measure: Measure) -> Member? {
        guard let network = try? shape.network(of: base), let parameters = try? network.parameterCount(),
            let macs = try? network.macs(of: 0), parameters <= limits.parameters ?? .max
        else { return nil }
        if let latency = limits.latency {
            guard let milliseconds = try? measure(network), milliseconds <= latency else { return nil }
        }
        return Member(shape: shape, parameters: parameters, macs: macs, generation: generation)
    }

    // MARK: Order

    /// The members of the last rung that no other one of it dominates, the fastest first.
    public var front: [Int] {
        let all = members.indices.filter { members[$0].rung == Self.epochs.count }
        return all.filter { one in !all.contains { members[one].isDominated(by: members[$0]) } }
            .sorted { members[$0].macs < members[$1].macs }
    }

    /// Members front by front, each by accuracy.
    func ordered(_ all: [Int]) -> [Int] {
        var (rest, result) = (all, [Int]())
        while !rest.isEmpty {
            let front = rest.filter { one in !rest.contains { members[one].isDominated(by: members[$0]) } }
            result += front.sorted { (members[$0].accuracy ?? 0, $1) > (members[$1].accuracy ?? 0, $0) }
            rest.removeAll(where: front.contains)
        }
        return result
    }

    // MARK: Shapes

    /// What is tried first: the paper's split and its fattening, also of convolutions alone, joined in both ways, and the same with
    /// smaller kernels and twice as many convolutions.
    private func known(_ measure: Measure) -> [BranchShape] {
        let fattenings = [
            Fattening.none, 20, 40, 75, .init(convolutions: 50, fullyConnected: 0),
            .init(convolutions: 75, fullyConnected: -20),
            .init(convolutions: 100, fullyConnected: -40), .init(convolutions: 150, fullyConnected: -60),
        ]
        let own: [BranchShape] = fattenings.flatMap { fattening in
            limits.merges.compactMap { merge in
                guard var shape = try? BranchShape(of: base, branches: limits.devices, fattening: fattening) else {
                    return nil
                }
                shape.merge = merge
                return shape
            }
        }
        // What made networks better after CifarNet: smaller kernels, more of them behind each other, and wider ones where maps are
        // smaller.
        let deep = own.enumerated().map { index, shape in
            var deep = shape
            for layer in shape.convolutions.indices {
                deep.convolutions[layer].kernel = min(shape.convolutions[layer].kernel, 3)
                let isPooled = index % 4 > 1
                deep.convolutions[layer].more = [isPooled && layer == 0]
                if isPooled, layer > 0 { deep.convolutions[layer].width *= 2 }
            }
            return deep
        }
        let all = zip(own, deep).flatMap { [$0, $1] }.filter { member($0, measure) != nil }
        return all.count <= Self.size ? all : (0..<Self.size).map { all[$0 * all.count / Self.size] }
    }

    /// One or two changes.
    private func changed(_ shape: BranchShape, _ random: inout SeededGenerator) -> BranchShape {
        var result = shape
        for _ in 0...random.index(2) {
            let convolutions = result.convolutions.count
            let layer = random.index(max(1, convolutions))
            switch random.index(10) {
            case 0..<4 where convolutions + result.fullyConnected.count > 0:
                let layer = random.index(convolutions + result.fullyConnected.count)
                let factor = [0.5, 0.7, 0.85, 1.2, 1.4, 2][random.index(6)]
                func changed(_ width: Int) -> Int { min(4096, max(1, Int((Double(width) * factor).rounded()))) }
                if layer < convolutions {
                    result.convolutions[layer].width = changed(result.convolutions[layer].width)
                } else {
                    result.fullyConnected[layer - convolutions] = changed(result.fullyConnected[layer - convolutions])
                }
            case 4, 5:
                guard convolutions > 0, result.convolutions[layer].more.count < BranchShape.maximumMore else {
                    continue
                }
                result.convolutions[layer].more.append(random.index(2) == 0)
            case 6:
                guard convolutions > 0, !result.convolutions[layer].more.isEmpty else { continue }
                result.convolutions[layer].more.removeLast()
            case 7:
                guard convolutions > 0 else { continue }
                let own = base.layers.compactMap(\.kernelOfConvolution)[layer]
                result.convolutions[layer].kernel = result.convolutions[layer].kernel == own ? min(own, 3) : own
            case 8:
                // The first convolution has too few channels to be one by one.
                guard convolutions > 0, layer > 0 else { continue }
                result.convolutions[layer].isSeparable.toggle()
            default: result.merge = limits.merges[random.index(limits.merges.count)]
            }
        }
        return result
    }
}
