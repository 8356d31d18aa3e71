import LCPModels
import LCPWire
import Platform

/// A version of the pipeline's model, as far as a worker has to know it to decide what to run.
struct ModelVersion: Hashable {
    /// For people.
    var name: String
    /// In hexadecimal.
    var hash: String
    var branchCount: Int
    /// Where its files come from; nil where the model lies on this machine.
    var offer: ModelOffer?

    init(name: String, hash: String, branchCount: Int, offer: ModelOffer? = nil) {
        self.name = name
        self.hash = hash
        self.branchCount = branchCount
        self.offer = offer
    }

    init(_ bundle: ModelBundle, offer: ModelOffer? = nil) {
        self.init(
            name: bundle.manifest.name, hash: bundle.hash.description, branchCount: bundle.network.branches.count,
            offer: offer)
    }
}

/// A branch of a network that is split in so many: what a worker subscribes to. Versions of the model with the same number of
/// branches are computed from the same inputs.
struct BranchID: Hashable, Comparable {
    var branch: Int
    /// The number of branches.
    var count: Int

    static func < (left: Self, right: Self) -> Bool { (left.count, left.branch) < (right.count, right.branch) }
}

/// A worker's part of one model: which of its branches it runs, is about to run, and gives up.
struct ModelShare: Hashable {
    /// What a branch is about.
    enum Phase: Hashable {
        /// It is prepared and subscribed to. Others count on it already.
        case starting
        /// Its inputs are received and computed in these versions of the model, by their hashes.
        case serving(Set<String>)
        /// It takes no more inputs, and answers those that the broker has dealt out. Others no longer count on it.
        case stopping
    }

    var model: ModelVersion
    /// The branches that this worker has, by their numbers.
    var branches: [Int: Phase] = [:]
    /// Branches that another worker has, too, and since when this one has told the others that it gives them up.
    var surplus: [Int: ContinuousClock.Instant] = [:]
    /// By branches the lanes whose frames the worker was told to compute.
    var lanes: [Int: [Int]] = [:]
    /// Those whose frames it receives by now.
    var receivedLanes: [Int: [Int]] = [:]

    init(_ model: ModelVersion) { self.model = model }

    func id(_ branch: Int) -> BranchID { BranchID(branch: branch, count: model.branchCount) }

    /// All that it has, also what it is giving up.
    var claimed: Set<Int> { Set(branches.keys) }

    /// What others may count on, now or soon.
    var claims: [Int] { branches.filter { $0.value != .stopping && surplus[$0.key] == nil }.keys.sorted() }

    /// What others may count on now.
    var serves: [Int] { versions.keys.sorted() }

    /// The versions of the model that each branch is computed in, where its inputs are received.
    var versions: [Int: Set<String>] {
        branches.compactMapValues { phase in
            if case .serving(let versions) = phase { versions } else { nil }
        }
    }

    /// The lanes of each of ``serves``.
    var servedLanes: [[Int]] { serves.map { receivedLanes[$0] ?? [] } }

    /// Whether all branches whose inputs are received are computed in a version of the model.
    func areComputed(in version: ModelVersion) -> Bool { versions.values.allSatisfy { $0.contains(version.hash) } }

    /// Whether a branch is being prepared.
    var isStarting: Bool { branches.values.contains(.starting) }

    // MARK: Among others

    /// A worker as it knows itself.
    struct Me: Hashable {
        var id: String
        /// The branches that it was told to run; nil for those that are needed.
        var pinned: Set<Int>?
        /// Whether it has served a branch yet.
        var isReady = false
    }

    /// What another worker has of this model: nil where it has nothing to do with it.
    ///
    /// - Parameter isCurrent: whether this is the model that this worker runs: versions of it with as many branches are dealt out
    ///   as one model is.
    func part(of status: RoleStatus, isCurrent: Bool) -> (claims: [Int], serves: [Int])? {
        if let next = status.next, next.model == model.hash { return (next.claims, next.serves) }
        let isAlike = isCurrent && status.branches ?? model.branchCount == model.branchCount
        guard status.modelHash == model.hash || isAlike else { return nil }
        return (status.claims ?? status.branch.map { [$0] } ?? [], status.servedBranches)
    }

    /// What this worker should run of the model, as all who see the same workers would say.
    ///
    /// - Parameter expectsAll: whether those who run another model are about to run this one: then each of many workers starts a
    ///   branch that it keeps, and not all branches, as long as it sees nobody else who has any.
    func goal(of me: Me, among others: [RoleStatus], isCurrent: Bool, expectsAll: Bool = false) -> Set<Int> {
        if let pinned = me.pinned { return pinned }
        var workers = others.compactMap { other -> BranchAssignment.Worker? in
            guard let part = part(of: other, isCurrent: isCurrent) else {
                guard expectsAll, other.pinned == false, other.isModelGiven != true else { return nil }
                return .init(id: other.id, branches: [], isPinned: false, isReady: other.state == .ready)
            }
            return .init(
                id: other.id, branches: Set(part.claims), isPinned: other.pinned ?? true, isReady: other.state == .ready
            )
        }
        workers.append(.init(id: me.id, branches: claimed, isPinned: false, isReady: me.isReady))
        return BranchAssignment(workers, branchCount: model.branchCount).branches[me.id] ?? []
    }

    /// The other workers that receive the inputs of a branch of this model, and are not about to give it up.
    func keepers(of branch: Int, among others: [RoleStatus], isCurrent: Bool) -> [RoleStatus] {
        others.filter { other in
            guard let part = part(of: other, isCurrent: isCurrent) else { return false }
            return part.serves.contains(branch) && part.claims.contains(branch)
        }
    }

    /// Of two that could leave the same branch to each other the one whose name comes later does so at once. The other one no
    /// longer claims it, and gives it up after ``patience``, if then it still hears of one that keeps it: so it is never both.
    ///
    /// - Returns: the branches to give up now. The others are remembered.
    mutating func giveUp(
        but goal: Set<Int>, by me: Me, among others: [RoleStatus], isCurrent: Bool, now: ContinuousClock.Instant
    ) -> [Int] {
        let before = surplus
        surplus = [:]
        return serves.filter { branch in
            let keepers = keepers(of: branch, among: others, isCurrent: isCurrent)
            guard !goal.contains(branch), !keepers.isEmpty else { return false }
            let since = before[branch] ?? now
            if keepers.contains(where: { $0.id < me.id }) || now - since >= Self.patience { return true }
            surplus[branch] = since
            return false
        }
    }

    /// Longer than a status takes from one worker to another and an answer to it back.
    static let patience = Duration.milliseconds(200)
}
