public import LCPLocal

/// How many of each a load needs, and from which load on another one pays: from measured costs, no I/O.
///
/// A process is full where it is busy for ``limit`` of the time: beyond that, frames wait for each other.
public struct Growth: Sendable {
    /// What is wanted.
    public struct Load: Sendable, Hashable {
        public var pipelines: Int
        /// Of each pipeline.
        public var framesPerSecond: Double
        /// Whether messages are sent at quality of service 1.
        public var isAcknowledged: Bool

        public init(pipelines: Int = 1, framesPerSecond: Double, isAcknowledged: Bool = false) {
            self.pipelines = pipelines
            self.framesPerSecond = framesPerSecond
            self.isAcknowledged = isAcknowledged
        }
    }

    /// How many of a kind.
    public struct Need: Sendable, Hashable, Encodable {
        /// In all pipelines together.
        public var count: Int
        /// How busy each is, as a part of a core; of a worker, of its device.
        public var utilisation: Double
        /// More frames a second than these, in each pipeline, need another one.
        public var enoughFor: Double

        enum CodingKeys: String, CodingKey {
            case count
            case utilisation = "busy"
            case enoughFor = "enough_for_frames_per_s"
        }
    }

    /// What a load needs.
    public struct Needs: Sendable, Hashable, Encodable {
        public var workers: Need
        public var aggregators: Need
        public var brokers: Need
        /// Of each broker: how many roles are connected to it, the memory that these take, and what it sends.
        public var connections: Int
        public var memoryMiB: Double
        public var megabitsPerSecond: Double
        /// Whether more frames fill a broker's link before they keep its processor busy.
        public var limitedByLink: Bool

        enum CodingKeys: String, CodingKey {
            case workers, aggregators, brokers
            case limitedByLink = "broker_limited_by_link"
            case connections = "broker_connections"
            case memoryMiB = "broker_connections_mib"
            case megabitsPerSecond = "broker_sends_mbit_per_s"
        }
    }

    public var costs: FrameCosts
    public var frame: FrameCosts.Frame
    /// What a worker's device takes for a frame besides its messages, milliseconds.
    public var workMilliseconds: Double
    /// Of a broker's link, in each direction.
    public var brokerMegabitsPerSecond: Double
    /// As busy as a process or a link is to be.
    public static let limit = 0.7

    public init(
        costs: FrameCosts, frame: FrameCosts.Frame, workMilliseconds: Double, brokerMegabitsPerSecond: Double = 1000
    ) {
        self.costs = costs
        self.frame = frame
        self.workMilliseconds = workMilliseconds
        self.brokerMegabitsPerSecond = brokerMegabitsPerSecond
    }

    public func needs(_ load: Load) -> Needs {
        var needs = Needs(
            workers: workers(load), aggregators: aggregators(load), brokers: brokers(load), connections: 0,
            memoryMiB: 0, megabitsPerSecond: 0, limitedByLink: false)
        let brokers = Double(needs.brokers.count)
        let roles = roles(load)
        needs.connections = Int((roles / brokers).rounded(.up))
        needs.memoryMiB = roles * costs.standing.brokerKiB / 1024 / brokers
        needs.megabitsPerSecond = sentMegabits * load.framesPerSecond * Double(load.pipelines) / brokers
        needs.limitedByLink = needs.megabitsPerSecond / brokerMegabitsPerSecond > needs.brokers.utilisation
        // More frames bring more workers with them, which the brokers have to bear, too.
        var (enough, tooMany) = (load.framesPerSecond, max(needs.brokers.enoughFor, load.framesPerSecond) * 1.01)
        for _ in 0..<40 {
            var more = load
            more.framesPerSecond = (enough + tooMany) / 2
            if self.brokers(more).count > needs.brokers.count {
                tooMany = more.framesPerSecond
            } else {
                enough = more.framesPerSecond
            }
        }
        needs.brokers.enoughFor = enough
        return needs
    }

    private func workers(_ load: Load) -> Need {
        let messages = cost(.worker, load)
        let work = (messages.light + workMilliseconds * 1000, messages.busy + workMilliseconds * 1000)
        let replicas = Self.count(load.framesPerSecond, full(work))
        return Need(
            count: replicas * frame.branches * load.pipelines,
            utilisation: FrameCosts.utilisation(of: work, framesPerSecond: load.framesPerSecond / Double(replicas)),
            enoughFor: full(work) * Double(replicas))
    }

    private func aggregators(_ load: Load) -> Need {
        // Each of several does more than its part of what one would.
        let (alone, share) = (cost(.aggregator, load), max(0.5, costs.eachOfTwoAggregators) * 2)
        let isEnough = load.framesPerSecond <= full(alone)
        let join = isEnough ? alone : (alone.light * share, alone.busy * share)
        let count = isEnough ? 1 : max(2, Self.count(load.framesPerSecond, full(join)))
        return Need(
            count: count * load.pipelines,
            utilisation: FrameCosts.utilisation(of: join, framesPerSecond: load.framesPerSecond / Double(count)),
            enoughFor: full(join) * Double(count))
    }

    /// A sensor for each pipeline.
    private func roles(_ load: Load) -> Double {
        Double(workers(load).count + aggregators(load).count + load.pipelines)
    }

    /// - Returns: what they are enough for with as many roles.
    private func brokers(_ load: Load) -> Need {
        let (cost, frames) = (cost(.broker, load), load.framesPerSecond * Double(load.pipelines))
        let standing = roles(load) * costs.standing.brokerMicroseconds / 1_000_000
        func room(_ brokers: Int) -> Double {
            let left = Self.limit - standing / Double(brokers)
            guard left > 0 else { return 0 }
            return Double(brokers)
                * min(
                    FrameCosts.framesPerSecond(of: cost, at: left), Self.limit * brokerMegabitsPerSecond / sentMegabits)
        }
        var count = Self.count(standing, Self.limit)
        var tooFew = count - 1
        while room(count) < frames { (tooFew, count) = (count, 2 * count) }
        while count - tooFew > 1 {
            let middle = (tooFew + count) / 2
            if room(middle) < frames { tooFew = middle } else { count = middle }
        }
        return Need(
            count: count,
            utilisation: standing / Double(count)
                + FrameCosts.utilisation(of: cost, framesPerSecond: frames / Double(count)),
            enoughFor: room(count) / Double(load.pipelines))
    }

    /// What a broker sends for a frame: the input and a feature map for each branch, and the predictions.
    private var sentMegabits: Double {
        Double(
            frame.branches * (frame.inputBytes + frame.featureBytes) + frame.subscribers * frame.predictionBytes)
            * 8 / 1_000_000
    }

    private func cost(_ place: FrameCosts.Place, _ load: Load) -> (light: Double, busy: Double) {
        costs.microseconds(place, frame, isAcknowledged: load.isAcknowledged)
    }

    private func full(_ cost: (light: Double, busy: Double)) -> Double {
        FrameCosts.framesPerSecond(of: cost, at: Self.limit)
    }

    private static func count(_ amount: Double, _ each: Double) -> Int { max(1, Int((amount / each).rounded(.up))) }
}
