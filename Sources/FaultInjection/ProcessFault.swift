import Platform

/// What happens to processes: a value whose steps are known before the first of them.
public struct ProcessFault: Sendable, Hashable, Codable {
    public enum Action: String, Sendable, Hashable, Codable, CaseIterable {
        /// SIGKILL: no goodbye.
        case kill
        /// SIGSTOP, and SIGCONT after a while: a machine that hangs.
        case pause
    }

    public var action: Action
    public var processes: [Int32]
    /// Seconds before each round.
    public var after: Double
    /// How long a pause lasts, seconds.
    public var duration: Double
    public var rounds: Int
    /// With a seed, each round takes one process by chance, after a wait by chance of up to twice `after`; without one, each
    /// round takes all.
    public var seed: UInt64?

    public init(
        _ action: Action, processes: [Int32], after: Double = 0, duration: Double = 0, rounds: Int = 1,
        seed: UInt64? = nil
    ) {
        self.action = action
        self.processes = processes
        self.after = after
        self.duration = duration
        self.rounds = rounds
        self.seed = seed
    }

    /// A signal to a process, at a time.
    struct Step: Hashable {
        enum Kind { case kill, stop, resume }

        var time: Double
        var kind: Kind
        var process: Int32
    }

    /// What is done, in its order.
    var steps: [Step] {
        var steps: [Step] = []
        var time = 0.0
        var random = SeededGenerator(seed: seed ?? 0)
        var left = processes
        for _ in 0..<rounds {
            var chosen = processes
            if seed != nil {
                time += after * Double(random.uniform(0, 2))
                let index = random.index(left.count)
                chosen = [left[index]]
                // Nobody dies twice.
                if action == .kill { left.remove(at: index) }
            } else {
                time += after
            }
            switch action {
            case .kill: steps += chosen.map { Step(time: time, kind: .kill, process: $0) }
            case .pause:
                steps += chosen.map { Step(time: time, kind: .stop, process: $0) }
                time += duration
                steps += chosen.map { Step(time: time, kind: .resume, process: $0) }
            }
        }
        return steps
    }

    /// - Throws: ``ChaosError`` where a number makes no sense.
    func validate() throws(ChaosError) {
        guard (1...256).contains(processes.count), Set(processes).count == processes.count else {
            throw ChaosError("name 1 to 256 processes, each once")
        }
        guard (0...86_400).contains(after) else { throw ChaosError("the wait before a round is 0 to 86,400 s") }
        guard (1...10_000).contains(rounds) else { throw ChaosError("there are 1 to 10,000 rounds") }
        switch action {
        case .pause:
            guard duration > 0, duration <= 3600 else {
                throw ChaosError("a pause lasts more than 0 s and at most an hour")
            }
        case .kill:
            guard rounds <= (seed == nil ? 1 : processes.count) else {
                throw ChaosError("nobody is killed twice: fewer rounds, or more processes and a seed")
            }
        }
    }
}
