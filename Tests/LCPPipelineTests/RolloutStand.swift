import LCPWire
import Foundation
import Testing

@testable import LCPPipeline

typealias Rollout = ModelRollout

/// A machine at a time, with short names for what tests say often.
struct RolloutStand {
    static let begin = ContinuousClock.now

    var machine: Rollout
    var now = begin
    var presence = Presence()

    init(_ id: String = "w", pinned: Set<Int>? = nil) {
        machine = Rollout(id: id, pinned: pinned, inputs: "inputs")
    }

    static func offer(_ name: String, _ branches: Int) -> ModelOffer {
        var offer = sample
        (offer.name, offer.model, offer.files) = (name, hash(name), files(branches))
        return offer
    }

    static func files(_ branches: Int) -> [ModelOffer.File] {
        let names = ["model.json"] + (0..<branches).map { "branch-\($0).safetensors" } + ["merge.safetensors"]
        return names.map { .init(name: $0, sha256: String(repeating: "0", count: 64), bytes: 1) }
    }

    private static let sample: ModelOffer = {
        let json = """
            {"format":1,"name":"","model":"","chunk_bytes":1024,"files":[]}
            """
        guard let offer = try? JSONDecoder().decode(ModelOffer.self, from: Data(json.utf8)) else {
            preconditionFailure("that is an offer")
        }
        return offer
    }()

    /// 32 hexadecimal digits that no other name has.
    static func hash(_ name: String) -> String {
        let digits = name.utf8.map { String($0, radix: 16) }.joined()
        return String(repeating: "0", count: 32 - digits.count) + digits
    }

    static func version(_ name: String, _ branches: Int) -> ModelVersion {
        ModelVersion(name: name, hash: hash(name), branchCount: branches, offer: offer(name, branches))
    }

    static func failure(_ reason: String) -> Rollout.Failure { .init(PipelineError(.modelMismatch, reason)) }

    mutating func handle(_ event: Rollout.Event) -> [Rollout.Action] { machine.handle(event, now: now) }

    /// Lets time pass until something is due, at most so long, and says that.
    mutating func wait(_ duration: Duration = .seconds(60)) -> [Rollout.Action] {
        now = min(now + duration, machine.nextDue ?? now + duration)
        return handle(.time)
    }

    /// Says what another process says of itself.
    mutating func hear(
        _ id: String, model: String, _ branches: Int, serves: [Int], models: [String]? = nil,
        next: RoleStatus.Next? = nil, role: Role = .worker, pinned: Bool? = false
    ) -> [Rollout.Action] {
        var status = RoleStatus(state: .ready, role: role, id: id, birth: "b")
        status.model = model
        status.modelHash = Self.hash(model)
        status.branches = branches
        status.models = (models ?? [model]).map(Self.hash)
        if role == .worker { (status.claims, status.serves, status.pinned) = (serves, serves, pinned) }
        status.next = next
        _ = presence.update(status)
        return handle(.presence(presence))
    }

    mutating func lose(_ id: String) -> [Rollout.Action] {
        _ = presence.update(RoleStatus(state: .lost, role: .worker, id: id, birth: "b"))
        return handle(.presence(presence))
    }

    /// A worker that runs all branches of a model that was pushed.
    static func running(_ name: String, _ branches: Int, pinned: Set<Int>? = nil) -> Self {
        var stand = Self(pinned: pinned)
        _ = stand.handle(.found(offer(name, branches)))
        _ = stand.handle(.fetched(offer(name, branches), version(name, branches)))
        for branch in pinned?.sorted() ?? Array(0..<branches) { stand.start(branch, branches, [name]) }
        stand.settle()
        return stand
    }

    mutating func start(_ branch: Int, _ count: Int, _ versions: [String]) {
        _ = handle(.started(id(branch, count), versions: Set(versions.map(Self.hash)), computeTime: 1))
    }

    /// What is only waiting for the moment of peace.
    mutating func settle() {
        now += Rollout.settling
        _ = handle(.time)
    }

    func id(_ branch: Int, _ count: Int) -> BranchID { BranchID(branch: branch, count: count) }

    func announcement(
        _ name: String, _ branches: Int, models: [String]? = nil, claims: [Int], serves: [Int],
        next: RoleStatus.Next? = nil, isReady: Bool = true, computeTime: Double? = 1
    ) -> Rollout.Action {
        .publish(
            WorkerAnnouncement(
                model: Self.version(name, branches), models: (models ?? [name]).map(Self.hash), claims: claims,
                serves: serves, next: next, isReady: isReady, computeTime: computeTime))
    }

    /// What the new model with so many branches of it is called in a status.
    static func next(_ name: String, _ branches: Int, claims: [Int], serves: [Int]) -> RoleStatus.Next {
        .init(model: hash(name), branches: branches, claims: claims, serves: serves)
    }

    /// Another model with as many branches is pushed, fetched and, where it is prepared, computed in every branch.
    mutating func beginOverlap(_ name: String, _ branches: Int, isPrepared: Bool = true) {
        let version = Self.version(name, branches)
        _ = handle(.offered(version.offer!))
        _ = handle(.fetched(version.offer!, version))
        if isPrepared {
            for branch in machine.current?.serves ?? [] { _ = handle(.added(version.hash, to: id(branch, branches))) }
        }
        settle()
    }

    /// A model with another number of branches is pushed and fetched, and these of its branches start.
    mutating func beginRepartition(_ name: String, _ branches: Int, started: [Int]) {
        let version = Self.version(name, branches)
        _ = handle(.offered(version.offer!))
        _ = handle(.fetched(version.offer!, version))
        for branch in started { start(branch, branches, [name]) }
        settle()
    }

    /// Nobody is expected to take the new model any more.
    mutating func takeExpected() -> [Rollout.Action] {
        now = max(now, machine.expectationEnd ?? now)
        return handle(.time)
    }

    /// Lets time pass until some words are said.
    mutating func wait(for sentence: String) -> [Rollout.Action] {
        for _ in 0..<10 {
            let actions = wait()
            if actions.contains(.log(sentence)) { return actions }
        }
        Issue.record("it never said \(sentence)")
        return []
    }
}

extension Rollout.State {
    var progress: Rollout.Progress? {
        switch self {
        case .overlapping(_, _, let progress), .repartitioning(_, _, let progress): progress
        default: nil
        }
    }

    var isWaiting: Bool { if case .waiting = progress { true } else { false } }
    var isHandingOver: Bool { if case .handingOver = progress { true } else { false } }
    var isRunning: Bool { if case .running = self { true } else { false } }
}
