public import LCPModels

/// Chooses a recipe by short trials, one question after the other: the state machine without the trials.
///
/// Every question has a few answers, each tried on top of what was chosen so far. What is not clearly better is left as it is.
public struct RecipeChooser: Sendable {
    /// What is different from the recipe that the choice begins with.
    public struct Candidate: Sendable, Hashable, Codable {
        public var entries: [String: RecipeEntry] = [:]
        /// How branches are joined, where that may be chosen.
        public var merge: Merge?

        public init(entries: [String: RecipeEntry] = [:], merge: Merge? = nil) {
            (self.entries, self.merge) = (entries, merge)
        }

        /// The same with another answer on top.
        func with(_ answer: Candidate) -> Candidate {
            Candidate(entries: entries.merging(answer.entries) { $1 }, merge: answer.merge ?? merge)
        }
    }

    /// What a trial came to, on images that were set aside.
    public struct Result: Sendable, Hashable {
        /// For each image, whether all branches together are right.
        public var right: [Bool]
        /// Top-1 with one branch missing, 0 to 1, the mean over the branches; nil for a network in one piece.
        public var oneMissing: Double?

        public init(right: [Bool], oneMissing: Double?) { (self.right, self.oneMissing) = (right, oneMissing) }

        public var accuracy: Double { Double(right.count { $0 }) / Double(max(1, right.count)) }
        /// What a missing branch costs, 0 to 1.
        var cost: Double { oneMissing.map { accuracy - $0 } ?? 0 }

        /// By how much it is better than another one on the same images, and the standard error of that were
        /// they equally good (McNemar 1947).
        func gain(over other: Result) -> (mean: Double, error: Double) {
            let count = Double(max(1, right.count))
            let (better, worse) = zip(right, other.right).reduce(into: (0.0, 0.0)) { sums, pair in
                if pair.0 && !pair.1 { sums.0 += 1 }
                if pair.1 && !pair.0 { sums.1 += 1 }
            }
            return ((better - worse) / count, (better + worse).squareRoot() / count)
        }
    }

    struct Question: Sendable {
        enum Aim {
            /// More right answers, by more than a standard error.
            case accuracy
            /// A missing branch that costs little, and all branches together no worse than by the recipe as it was.
            case independence
        }
        var aim: Aim
        var answers: [Candidate]
    }

    /// What a missing branch may cost.
    static let cost = 0.015

    private let questions: [Question]
    private var question = 0
    private var answer = 0
    private var found: [(candidate: Candidate, result: Result)] = []
    /// What is chosen so far, and what it came to.
    public private(set) var best = Candidate()
    private var bestResult: Result?
    /// What the recipe came to as it was.
    private var plain: Result?

    /// - Parameters:
    ///   - network: the network in branches, as it was asked for.
    ///   - recipe: what the choice begins with.
    ///   - hasTeacher: whether there is a network to learn from.
    ///   - isNormalized: whether branches may begin as shares of it.
    ///   - merges: the ways to join the branches besides the network's own that may be tried.
    public init(
        network: BranchedNetwork, recipe: TrainingRecipe, hasTeacher: Bool, isNormalized: Bool, merges: [Merge]
    ) {
        var questions: [Question] = []
        let isSplit = network.branches.count > 1
        if isSplit, !merges.isEmpty {
            questions.append(Question(aim: .accuracy, answers: merges.map { Candidate(merge: $0) }))
        }
        if hasTeacher {
            let start = isNormalized ? ["initialization": RecipeEntry.word("teacher")] : [:]
            let answers: [Float] = [0.5, 0.9]
            questions.append(
                Question(
                    aim: .accuracy,
                    answers: answers.map { Candidate(entries: start.merging(["distillation": .number($0)]) { $1 }) }))
        }
        questions.append(
            Question(
                aim: .accuracy,
                answers: [0.5, 2].map { Candidate(entries: ["learning_rate": .number(recipe.learningRate * $0)]) }))
        if isSplit {
            let heads: [String: RecipeEntry] = ["auxiliary_weight": .number(0.3), "auxiliary_until": .number(0.7)]
            questions.append(Question(aim: .accuracy, answers: [Candidate(entries: heads)]))
            let rates: [Float] = [0, 0.1, 0.2, 0.3]
            questions.append(
                Question(
                    aim: .independence,
                    answers: rates.filter { $0 != recipe.branchDropout }.map {
                        Candidate(entries: ["branch_dropout": .number($0)])
                    }))
        }
        self.questions = questions
    }

    /// How many trials there are in all.
    public var trialCount: Int { questions.reduce(1) { $0 + $1.answers.count } }

    /// What is to be tried next; nil where all is chosen.
    public var next: Candidate? {
        guard bestResult != nil else { return best }
        return questions.indices.contains(question) ? best.with(questions[question].answers[answer]) : nil
    }

    /// Takes what the trial of ``next`` came to.
    public mutating func record(_ result: Result) {
        guard let candidate = next else { return }
        guard let before = bestResult else {
            (bestResult, plain) = (result, result)
            return
        }
        found.append((candidate, result))
        answer += 1
        guard answer == questions[question].answers.count else { return }
        let all = [(candidate: best, result: before)] + found
        (best, bestResult) = Self.choose(all, questions[question].aim, plain: plain ?? before)
        (question, answer, found) = (question + 1, 0, [])
    }

    /// - Parameter all: at least one, what was chosen before first.
    static func choose(
        _ all: [(candidate: Candidate, result: Result)], _ aim: Question.Aim, plain: Result
    ) -> (Candidate, Result) {
        var chosen = all[0]
        switch aim {
        case .accuracy:
            for other in all.dropFirst() {
                let gain = other.result.gain(over: chosen.result)
                if gain.mean > gain.error { chosen = other }
            }
        case .independence:
            let good = all.filter {
                let gain = $0.result.gain(over: plain)
                return $0.result.cost <= cost && gain.mean >= -gain.error
            }
            // Where nothing is both, what is gained with a branch missing has to be worth what is lost with all.
            func worth(_ result: Result) -> Double { result.accuracy - max(0, result.cost - cost) }
            chosen =
                good.max { $0.result.accuracy < $1.result.accuracy }
                ?? all.max { worth($0.result) < worth($1.result) } ?? chosen
        }
        return (chosen.candidate, chosen.result)
    }
}
