import CTrainingKernels

/// Threads that work on one step of training together.
final class Team {
    let threads: Int
    private let team: OpaquePointer

    /// - Throws: ``TrainingError`` where the system starts no more threads.
    init(threads: Int) throws(TrainingError) {
        guard let team = lcp_team_create(Int32(threads)) else {
            throw TrainingError("the system starts no \(threads) threads: try fewer with --threads")
        }
        self.team = team
        self.threads = threads
    }

    deinit { lcp_team_destroy(team) }

    /// Calls `work` on every thread with its number, from 0, and returns when all have returned.
    func run(_ work: (Int) -> Void) {
        withoutActuallyEscaping(work) { work in
            let context = Context(work: work)
            lcp_team_run(
                team,
                { context, thread in
                    Unmanaged<Context>.fromOpaque(context!).takeUnretainedValue().work(Int(thread))
                }, Unmanaged.passUnretained(context).toOpaque())
            withExtendedLifetime(context) {}
        }
    }

    /// The part of `count` things that a thread works on.
    func part(of count: Int, thread: Int) -> Range<Int> { count * thread / threads..<count * (thread + 1) / threads }

    /// Inside `work`: waits until every thread is here.
    func barrier() { lcp_team_barrier(team) }

    private final class Context {
        let work: (Int) -> Void
        init(work: @escaping (Int) -> Void) { self.work = work }
    }
}
