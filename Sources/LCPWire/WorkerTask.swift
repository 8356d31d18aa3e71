import FoundationEssentials

/// What the aggregator has a worker do: JSON, retained on `…/task/WORKER`.
///
/// Were every worker to hear what all the others say of themselves, messages would grow with the square of their number. The
/// aggregator hears all, and tells each what it needs.
public struct WorkerTask: Sendable, Hashable, Codable {
    /// The worker's part of a model that is split in so many branches.
    public struct Part: Sendable, Hashable, Codable {
        /// The branches of the model.
        public var branches: Int
        /// Those that the worker runs.
        public var runs: [Int]
        /// For each of ``runs`` the lanes whose frames it computes.
        public var lanes: [[Int]]

        public init(branches: Int, runs: [Int], lanes: [[Int]] = []) {
            self.branches = branches
            self.runs = runs
            self.lanes = lanes
        }

        /// The lanes of one of its branches.
        public func lanes(of branch: Int) -> [Int] {
            guard let index = runs.firstIndex(of: branch), lanes.indices.contains(index) else { return [] }
            return lanes[index]
        }
    }

    /// The worker's life that is meant: as in its status.
    public var birth: String
    /// One, or two while a model takes another's place that is split otherwise.
    public var parts: [Part]
    /// The hashes of the models that everybody runs beside the one before: that may be given up.
    public var ready: [String]
    /// The hashes of the models that some worker runs alone.
    public var alone: [String]
    /// Whether the aggregator deals also what sensors do not, so that nothing else is to be listened to than lanes.
    public var isDealt: Bool?
    /// Whether several aggregators share the sensors, so that features go to the topics of the sensors' buckets.
    public var byBucket: Bool?

    enum CodingKeys: String, CodingKey {
        case birth, parts, ready, alone
        case isDealt = "dealt"
        case byBucket = "by_bucket"
    }

    public init(
        birth: String, parts: [Part] = [], ready: [String] = [], alone: [String] = [], isDealt: Bool? = nil,
        byBucket: Bool? = nil
    ) {
        (self.isDealt, self.byBucket) = (isDealt, byBucket)
        self.birth = birth
        self.parts = parts
        self.ready = ready
        self.alone = alone
    }

    /// The most lanes of a pipeline.
    public static let maximumLanes = 256

    /// Reads a task; nil where the JSON is none, or says what no aggregator says.
    public init?(_ json: [UInt8]) {
        guard json.count <= 16_384, let task = try? JSONDecoder().decode(WorkerTask.self, from: Data(json)),
            task.parts.allSatisfy(\.isSound)
        else { return nil }
        self = task
    }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }
}

extension WorkerTask.Part {
    fileprivate var isSound: Bool {
        (1...64).contains(branches) && Set(runs).count == runs.count && runs.allSatisfy { (0..<branches).contains($0) }
            && lanes.count <= runs.count
            && lanes.allSatisfy { lanes in
                lanes.count <= WorkerTask.maximumLanes
                    && lanes.allSatisfy { (0..<WorkerTask.maximumLanes).contains($0) }
            }
    }
}
