import LCPWire

extension PipelineOverview {
    /// How well a pipeline does; the number is the exit status of `lcp status --check`.
    public enum Health: Int, Sendable, Hashable, Encodable {
        case well = 0
        /// It answers, but from some branches only, or from different models, or some refuse what comes.
        case incomplete = 1
        /// Nobody answers.
        case silent = 2

        /// Its name is written, for machines.
        public func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            try container.encode("\(self)")
        }
    }

    /// How well it does, and why it does not do better.
    public var health: (Health, reason: String) {
        let ready = ready
        func count(_ role: Role) -> String {
            let count = ready.count { $0.role == role }
            return "\(count) \(role.rawValue)\(count == 1 ? "" : "s")"
        }
        guard ready.contains(where: { $0.role == .aggregator }) else { return (.silent, "no aggregator is ready") }
        let served = Set(ready.filter { $0.role == .worker }.flatMap(\.servedBranches))
        guard !served.isEmpty else { return (.silent, "no worker is ready") }
        if let missing = missingBranches, !missing.isEmpty {
            let names = missing.map(String.init).joined(separator: ", ")
            return (.incomplete, "nobody serves branch\(missing.count == 1 ? "" : "es") \(names)")
        }
        if let differences { return (.incomplete, differences) }
        for role in [Role.worker, .aggregator] {
            let all = ready.filter { $0.role == role }
            let refusing = all.filter { $0.refuses != nil }
            guard let first = refusing.first else { continue }
            let who = refusing.count == 1 ? Self.name(first) : "\(refusing.count) of \(count(role))"
            let verb = refusing.count == 1 ? "refuses" : "refuse"
            return (
                refusing.count == all.count ? .silent : .incomplete,
                "\(who) \(verb) every frame (\(Self.short(first.refuses ?? ""))): the log of \(Self.name(first)) says why"
            )
        }
        return (.well, "\(count(.worker)) and \(count(.aggregator)) answer from all branches")
    }

    /// The branches that nobody serves of the model that most workers run; nil where nobody says how many there are, or that is
    /// changing.
    public var missingBranches: [Int]? {
        let present = ready
        guard present.allSatisfy({ $0.next == nil }) else { return nil }
        let model = mainModel
        let running = present.filter { $0.modelHash == nil || model == nil || $0.modelHash == model }
        guard let count = running.compactMap(\.branches).max(), (1...64).contains(count) else { return nil }
        let served = Set(running.filter { $0.role == .worker }.flatMap(\.servedBranches))
        return (0..<count).filter { !served.contains($0) }
    }

    /// The model that most workers run.
    private var mainModel: String? {
        let models = Dictionary(grouping: ready.filter { $0.role == .worker }.compactMap(\.modelHash)) { $0 }
        return models.max { ($0.value.count, $1.key) < ($1.value.count, $0.key) }?.key
    }

    /// Who runs which model, where that is not the same; the one of most workers first.
    private var differences: String? {
        let running = Dictionary(grouping: ready.filter { $0.role != .sensor && $0.modelHash != nil }) { $0.modelHash! }
        guard running.count > 1 else { return nil }
        let main = mainModel
        let models = running.sorted { ($0.key == main ? 0 : 1, $0.key) < ($1.key == main ? 0 : 1, $1.key) }
        let parts = models.prefix(4).map { hash, members in
            let names = members.prefix(4).map(Self.name).joined(separator: ", ")
            let rest = members.count > 4 ? " and \(members.count - 4) more" : ""
            return "\(Self.short(members[0].model ?? String(hash.prefix(8)))) by \(names)\(rest)"
        }
        return "\(running.count) models are run at once, \(parts.joined(separator: "; "))"
    }

    private static func name(_ status: RoleStatus) -> String { "\(status.role.rawValue) \(short(status.id))" }

    /// What came from the network, for people.
    private static func short(_ text: String) -> String { String(text.prefix(32)).printable }
}
