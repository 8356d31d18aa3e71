import FoundationEssentials

/// The retained status of a process, as JSON on `…/status/ROLE/ID`.
public struct RoleStatus: Sendable, Hashable, Codable {
    /// The states, named as in the Homie convention.
    public enum State: String, Sendable, Hashable, Codable {
        /// Connected, not subscribed yet.
        case starting = "init"
        /// All subscriptions are acknowledged.
        case ready
        /// Ended by itself.
        case disconnected
        /// Gone without a goodbye: the last will.
        case lost
    }

    /// A worker's part of a model with another number of branches, which will take the place of the one that it runs.
    public struct Next: Sendable, Hashable, Codable {
        /// The hash of the model, in hexadecimal.
        public var model: String
        public var branches: Int
        public var claims: [Int]
        public var serves: [Int]
        public var lanes: [[Int]]?

        package init(model: String, branches: Int, claims: [Int], serves: [Int], lanes: [[Int]]? = nil) {
            (self.model, self.branches, self.claims, self.serves) = (model, branches, claims, serves)
            self.lanes = lanes
        }
    }

    public var state: State
    public var role: Role
    public var id: String
    /// Random at every start: ties a death to its birth.
    public var birth: String
    /// The branch that it was told to run, where it runs only that.
    public var branch: Int?
    /// How many branches the model has.
    public var branches: Int?
    /// A worker's branches whose inputs it receives.
    public var serves: [Int]?
    /// For each of ``serves`` the lanes whose frames it receives; nil where it receives none.
    public var lanes: [[Int]]?
    /// A worker's branches that it runs or is about to run.
    public var claims: [Int]?
    /// Whether its branches were given on its command line.
    public var pinned: Bool?
    /// Whether it was given its model, and takes none that is pushed.
    public var isModelGiven: Bool?
    /// Whether its model is one that came with lcp, because none was pushed to the pipeline.
    public var isFallback: Bool?
    /// Whether it answers an empty message on `…/probe/ID` with its counters: a sign of life.
    public var answersProbes: Bool?
    /// Whether it does what ``WorkerTask`` says.
    public var takesTasks: Bool?
    /// Whether a worker was asked to end, and only answers what is on its way to it.
    public var isLeaving: Bool?
    /// Whether an aggregator says so, and deals frames to lanes.
    public var givesTasks: Bool?
    /// Whether an aggregator shares the sensors with others (``AggregatorBeat``).
    public var sharesSensors: Bool?
    /// How many of all ``Topics/bucketCount`` buckets of sensors it answers, where there are several aggregators.
    public var buckets: Int?
    /// Whether a sensor deals its frames to lanes.
    public var dealsFrames: Bool?
    /// The newest version of the tensor message that it reads; nil for 1.
    public var tensorMessages: Int?
    /// The hashes of the models that it computes or joins, in hexadecimal: two while one takes the other's place.
    public var models: [String]?
    /// The hash of the model that it tries beside its own, in hexadecimal.
    public var canary: String?
    /// Why it dropped all that came in the last five seconds, as in ``RoleStatistics/dropped``; nil where it did not.
    public var refuses: String?
    /// While the model changes to one with another number of branches.
    public var next: Next?
    /// What runs the branches: ``processor``, or a device that is attached.
    public var engine: String?
    /// How a worker is called whose own processor runs them.
    public static let processor = "xnnpack"
    /// Of lcp.
    public var version: String?
    public var cores: Int?
    /// The longest of its branches, measured when it was prepared, milliseconds.
    public var computeTime: Double?
    /// The name of the model, for people.
    public var model: String?
    /// The hash of the model, in hexadecimal.
    public var modelHash: String?
    public var host: String?
    public var processID: Int32?

    enum CodingKeys: String, CodingKey {
        case state, role, id, birth, branch, branches, serves, claims, pinned, model, models, canary, refuses, next,
            host,
            engine, lanes, version, cores, buckets
        case sharesSensors = "shares_sensors"
        case modelHash = "model_hash"
        case processID = "pid"
        case computeTime = "compute_ms"
        case answersProbes = "answers_probes"
        case isModelGiven = "model_given"
        case isFallback = "fallback"
        case tensorMessages = "tensor_messages"
        case takesTasks = "takes_tasks"
        case isLeaving = "leaving"
        case givesTasks = "gives_tasks"
        case dealsFrames = "deals_frames"
    }

    public init(state: State, role: Role, id: String, birth: String) {
        self.state = state
        self.role = role
        self.id = id
        self.birth = birth
    }

    /// Reads a status; nil where the JSON is none, or larger than any status.
    public init?(_ json: [UInt8]) {
        guard json.count <= 16_384, let status = try? JSONDecoder().decode(RoleStatus.self, from: Data(json)) else {
            return nil
        }
        self = status
    }

    /// The branches whose inputs a worker receives; one that says no more than its branch serves that.
    package var servedBranches: [Int] { serves ?? branch.map { [$0] } ?? [] }

    /// Whether it has ended, with a goodbye or without.
    package var isGone: Bool { state == .lost || state == .disconnected }

    /// Whether it reads tensor messages of a version.
    package func readsTensorMessages(of version: Int) -> Bool { tensorMessages ?? 1 >= version }

    /// Whether it computes or joins a model, given by its hash in hexadecimal.
    package func runs(_ model: String) -> Bool { models?.contains(model) == true }

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { Array($0) } ?? []
    }
}
