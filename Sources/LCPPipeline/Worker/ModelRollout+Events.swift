import LCPWire

/// What comes into a ``ModelRollout``, and what comes out of it.
extension ModelRollout {
    /// How far a change has come.
    enum Progress: Hashable {
        /// This worker's branches, the other workers and the aggregator are waited for, at most until then.
        case waiting(until: Instant)
        /// Everybody is ready; what the last one had in its queue when it said so is answered in both, until then.
        case handingOver(at: Instant)
    }

    /// How a change ended.
    enum Ending: Hashable {
        /// The new model runs alone.
        case completed
        /// A newer one, whose name this is, was offered before any worker ran it alone.
        case superseded(by: String)
        /// It cannot be fetched, or not be run here.
        case failed(Failure)

        /// What people are told of a change to a model, when the worker runs one.
        func sentence(on new: String, runs model: String) -> String {
            switch self {
            case .completed: "runs \(model) now"
            case .superseded(let newer): "the model \(new) is not used: \(newer) was pushed after it"
            case .failed(let failure): "the model \(new) is not used: \(failure)"
            }
        }
    }

    /// An error as a value; two are the same that say the same.
    struct Failure: Hashable, CustomStringConvertible {
        let error: any Error
        var description: String { "\(error)" }

        init(_ error: any Error) { self.error = error }

        static func == (left: Self, right: Self) -> Bool { left.description == right.description }
        func hash(into hasher: inout Hasher) { hasher.combine(description) }
    }

    enum Event {
        /// The pipeline has no model, or is not asked: this one lies on the machine.
        case given(ModelVersion)
        /// The model that the pipeline has when the worker joins.
        case found(ModelOffer)
        /// A model was pushed.
        case offered(ModelOffer)
        case fetched(ModelOffer, ModelVersion)
        case fetchFailed(ModelOffer, Failure)
        /// The inputs of a branch are received, and computed in these versions.
        case started(BranchID, versions: Set<String>, computeTime: Double)
        /// A branch could not be started, or its inputs are refused by now.
        case startFailed(BranchID, Failure)
        /// A branch is computed in this version, too.
        case added(String, to: BranchID)
        /// A branch cannot be computed in this version.
        case addFailed(String, Failure)
        /// A branch has answered all that it had.
        case stopped(BranchID)
        /// The frames of these lanes are received for a branch, and of no others.
        case receives(BranchID, lanes: [Int])
        /// Who is there changed.
        case presence(Presence)
        /// Whether an aggregator says what is to be run; otherwise the workers find that out among themselves.
        case coordinated(Bool)
        /// It has said so.
        case task(WorkerTask)
        /// ``nextDue`` is over.
        case time
        /// The worker is asked to end.
        case end
    }

    enum Action: Hashable {
        /// Get the files that these branches need. One at a time: one before it is no longer of interest.
        case fetch(ModelOffer, branches: Set<Int>)
        case abandonFetch
        /// Prepare a branch in these versions and receive its inputs; the first one must be there, the others may fail.
        case start(BranchID, versions: [ModelVersion], lanes: [Int] = [])
        /// Receive the frames of these lanes for a branch, and of no others.
        case receive(BranchID, lanes: [Int])
        /// Compute a branch in this version, too.
        case add(ModelVersion, to: BranchID)
        /// Compute a branch in these versions only.
        case keep(Set<String>, in: BranchID)
        /// Take no more inputs of a branch, and answer what was dealt out.
        case stop(BranchID)
        case publish(WorkerAnnouncement)
        case log(String)
        /// The worker cannot go on.
        case fail(Failure)
    }
}

/// What a worker says of itself in its status.
struct WorkerAnnouncement: Hashable {
    /// The model that it runs.
    var model: ModelVersion
    /// The hashes of the models that its branches are computed in: two while one takes the other's place.
    var models: [String]
    var claims: [Int]
    var serves: [Int]
    /// The lanes of each of ``serves``; nil where nobody tells any.
    var lanes: [[Int]]?
    /// While the model changes to one with another number of branches.
    var next: RoleStatus.Next?
    /// Whether it has served a branch.
    var isReady: Bool
    /// Of the branch that takes longest, milliseconds.
    var computeTime: Double?

    func apply(to status: inout RoleStatus) {
        status.model = model.name
        status.modelHash = model.hash
        status.branches = model.branchCount
        status.models = models
        status.claims = claims
        status.serves = serves
        status.lanes = lanes
        status.next = next
        status.computeTime = computeTime
        if isReady { status.state = .ready }
    }
}
