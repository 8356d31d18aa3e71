import FoundationEssentials

/// What an aggregator asks of a sensor where a branch is late: JSON on `…/again/SENSOR`.
public struct RepeatRequest: Sendable, Hashable, Codable {
    /// Numbers as decimal strings, because they may exceed JavaScript's integers.
    public var session: String
    public var frame: String
    /// The branches that are wanted.
    public var branches: [Int]
    /// The lane that the frame is to go to.
    public var lane: Int

    public init(session: UInt64, frame: UInt64, branches: [Int], lane: Int) {
        self.session = String(session)
        self.frame = String(frame)
        self.branches = branches
        self.lane = lane
    }

    /// Reads a request; nil where the JSON is none, or asks for what there cannot be.
    public init?(_ json: [UInt8]) {
        guard json.count <= 4096, let request = try? JSONDecoder().decode(RepeatRequest.self, from: Data(json)),
            UInt64(request.session) != nil, UInt64(request.frame) != nil, !request.branches.isEmpty,
            request.branches.allSatisfy({ (0..<64).contains($0) }),
            (0..<WorkerTask.maximumLanes).contains(request.lane)
        else { return nil }
        self = request
    }

    /// The branches, bit by bit.
    package var mask: UInt64 { branches.reduce(0) { $0 | 1 << UInt64($1) } }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }
}
