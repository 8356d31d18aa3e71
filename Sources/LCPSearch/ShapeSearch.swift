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
        /// Multiply-accumulate operations of a branch.
        public var macs: Int?

        public init(devices: Int, parameters: Int? = nil, macs: Int? = nil) {
            (self.devices, self.parameters, self.macs) = (devices, parameters, macs)
        }
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

    /// - Throws: `NetworkError` where not one shape keeps to the limits.
    public init(base: Network, limits: Limits, seed: UInt64) throws(NetworkError) {
        (self.base, self.limits, self.seed) = (base, limits, seed)
        beginGeneration()
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
    public mutating func beginGeneration() {
        generation += 1
        rung = 0
        var random = SeededGenerator(seed: seed, stream: UInt64(generation))
        var proposals: [BranchShape] = generation == 0 ? known() : []
        let parents = front.map { members[$0].shape }
        var attempts = 0
        let first = members.count
        while members.count - first < Self.size, attempts < 200 * Self.size {
            attempts += 1
            let shape: BranchShape
            if proposals.isEmpty {
                let from = parents.isEmpty ? known() : parents
                guard let parent = from.isEmpty ? nil : from[random.index(from.count)] else { break }
                shape = changed(parent, &random)
            } else {
                shape = proposals.removeFirst()
            }
            guard !members.contains(where: { $0.shape == shape }), let member = member(shape) else { continue }
            members.append(member)
        }
        waiting = Array(first..<members.count)
    }

    /// A shape as a member, where it is possible and keeps to the limits.
    private func member(_ shape: BranchShape) -> Member? {
        guard let network = try? shape.network(of: base), let parameters = try? network.parameterCount(),
            let macs = try? network.macs(of: 0), parameters <= limits.parameters ?? .max,
            macs <= limits.macs ?? .max
        else { return nil }
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

    /// What is tried first: the paper's split and its fattening, also of convolutions alone, joined in both ways.
    private func known() -> [BranchShape] {
        let fattenings = [
            Fattening.none, 20, 40, 75, .init(convolutions: 50, fullyConnected: 0),
            .init(convolutions: 75, fullyConnected: -20),
            .init(convolutions: 100, fullyConnected: -40), .init(convolutions: 150, fullyConnected: -60),
        ]
        return fattenings.flatMap { fattening in
            Merge.allCases.compactMap { merge in
                guard var shape = try? BranchShape(of: base, branches: limits.devices, fattening: fattening) else {
                    return nil
                }
                shape.merge = merge
                return shape
            }
        }.filter { member($0) != nil }
    }

    /// One or two changes.
    private func changed(_ shape: BranchShape, _ random: inout SeededGenerator) -> BranchShape {
        var result = shape
        for _ in 0...random.index(2) {
            let convolutions = result.deeper.count
            switch random.index(8) {
            case 0..<4 where !result.widths.isEmpty:
                let layer = random.index(result.widths.count)
                let factors: [Float] = [0.5, 0.7, 0.85, 1.2, 1.4, 2]
                let width = Float(result.widths[layer]) * factors[random.index(factors.count)]
                result.widths[layer] = min(4096, max(1, Int(width.rounded())))
            case 4, 5:
                guard convolutions > 0 else { continue }
                let layer = random.index(convolutions)
                result.deeper[layer] = max(0, min(2, result.deeper[layer] + (random.index(3) == 0 ? -1 : 1)))
            case 6:
                guard convolutions > 1 else { continue }
                // The first convolution has too few channels to be one by one.
                result.isSeparable[1 + random.index(convolutions - 1)].toggle()
            default: result.merge = result.merge == .sum ? .concat : .sum
            }
        }
        return result
    }
}
