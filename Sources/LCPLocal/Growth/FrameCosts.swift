/// What a frame costs the processor of each role, and of the broker: measured by ``GrowthBenchmark``, and what follows from it for
/// how much one process bears.
///
/// A process that is seldom busy wakes up for every message; one that is busy finds several at once, and each costs it less. So
/// there are two figures of each, and between them the cost goes down in proportion to how busy the process is.
public struct FrameCosts: Sendable, Hashable, Codable {
    /// What a frame costs one process, microseconds of a processor's core.
    public struct Cost: Sendable, Hashable, Codable {
        /// For the frame itself.
        public var frameMicroseconds = 0.0
        /// For each message of it that the process receives or sends.
        public var messageMicroseconds = 0.0
        /// For each 1,000 bytes of these.
        public var kilobyteMicroseconds = 0.0
        /// For each million multiplications of the classification layer, where the aggregator computes that.
        public var millionMicroseconds = 0.0

        enum CodingKeys: String, CodingKey {
            case frameMicroseconds = "frame_us"
            case messageMicroseconds = "message_us"
            case kilobyteMicroseconds = "kilobyte_us"
            case millionMicroseconds = "million_multiplications_us"
        }

        /// Microseconds for a frame of so many messages and bytes.
        public func microseconds(_ traffic: Traffic) -> Double {
            frameMicroseconds + messageMicroseconds * traffic.messages + kilobyteMicroseconds * traffic.bytes / 1000
                + millionMicroseconds * traffic.multiplications / 1_000_000
        }
    }

    /// What a process receives and sends for a frame.
    public struct Traffic: Sendable, Hashable {
        public var messages: Double
        public var bytes: Double
        public var multiplications = 0.0
    }

    /// The messages of a frame.
    public struct Frame: Sendable, Hashable {
        public var branches: Int
        /// Of the sensor's message.
        public var inputBytes: Int
        /// Of the message of one branch.
        public var featureBytes: Int
        public var predictionBytes: Int
        /// Of the classification layer, where the branches leave that to the aggregator.
        public var joinMultiplications: Int
        /// Who receives each prediction, the sensor too where it does.
        public var subscribers: Int

        public init(
            branches: Int, inputBytes: Int, featureBytes: Int, predictionBytes: Int, joinMultiplications: Int = 0,
            subscribers: Int = 1
        ) {
            self.branches = branches
            self.inputBytes = inputBytes
            self.featureBytes = featureBytes
            self.predictionBytes = predictionBytes
            self.joinMultiplications = joinMultiplications
            self.subscribers = subscribers
        }

        /// What a process has to do with it.
        public func traffic(of place: Place) -> Traffic {
            let (branches, subscribers) = (Double(branches), Double(subscribers))
            let (input, feature, prediction) = (Double(inputBytes), Double(featureBytes), Double(predictionBytes))
            return switch place {
            // In: the input, a feature map of each branch, the prediction. Out: the input to each branch, and those again.
            case .broker:
                Traffic(
                    messages: 1 + 3 * branches + 1 + subscribers,
                    bytes: (1 + branches) * input + 2 * branches * feature + (1 + subscribers) * prediction)
            case .aggregator:
                Traffic(
                    messages: branches + 1, bytes: branches * feature + prediction,
                    multiplications: Double(joinMultiplications))
            case .worker: Traffic(messages: 2, bytes: input + feature)
            case .sensor: Traffic(messages: 2, bytes: input + prediction)
            }
        }
    }

    /// Who has a part in a frame.
    public enum Place: String, Sendable, Hashable, Codable, CaseIterable {
        case broker, aggregator, worker, sensor
    }

    /// A process that is seldom busy, and one that has no pause.
    public struct Range: Sendable, Hashable, Codable {
        public var light: Cost
        public var busy: Cost
    }

    /// The machine that was measured.
    public var machine: String
    public var broker: Range
    public var aggregator: Range
    public var worker: Range
    public var sensor: Range
    /// What quality of service 1 costs, by what 0 does.
    public var acknowledged: Factors
    /// What each of two aggregators costs for the same frames, by what one alone does, where both have as many sensors.
    public var eachOfTwoAggregators: Double
    /// What is there without any frame.
    public var standing: Standing

    /// A factor for each.
    public struct Factors: Sendable, Hashable, Codable {
        public var broker: Double
        public var aggregator: Double
        public var worker: Double
        public var sensor: Double

        public subscript(place: Place) -> Double {
            switch place {
            case .broker: broker
            case .aggregator: aggregator
            case .worker: worker
            case .sensor: sensor
            }
        }
    }

    /// What a pipeline costs in which nothing happens.
    public struct Standing: Sendable, Hashable, Codable {
        /// Of the broker's core for each role that is connected to it, microseconds a second.
        public var brokerMicroseconds: Double
        /// Of the broker's memory for each of them.
        public var brokerKiB: Double
        /// Of an aggregator and of a worker, microseconds a second.
        public var aggregatorMicroseconds: Double
        public var workerMicroseconds: Double

        enum CodingKeys: String, CodingKey {
            case brokerMicroseconds = "broker_us_per_s_of_a_role"
            case brokerKiB = "broker_kib_of_a_role"
            case aggregatorMicroseconds = "aggregator_us_per_s"
            case workerMicroseconds = "worker_us_per_s"
        }
    }

    enum CodingKeys: String, CodingKey {
        case machine, broker, aggregator, worker, sensor, standing
        case acknowledged = "qos1_factor"
        case eachOfTwoAggregators = "each_of_two_aggregators"
    }

    // MARK: What follows

    private func range(_ place: Place) -> Range {
        switch place {
        case .broker: broker
        case .aggregator: aggregator
        case .worker: worker
        case .sensor: sensor
        }
    }

    /// What a frame costs a process that is seldom busy, and one that has no pause, microseconds.
    public func microseconds(
        _ place: Place, _ frame: Frame, isAcknowledged: Bool = false
    ) -> (light: Double, busy: Double) {
        let (traffic, range) = (frame.traffic(of: place), range(place))
        let factor = isAcknowledged ? acknowledged[place] : 1
        let busy = range.busy.microseconds(traffic) * factor
        // Measured apart: what is busy never costs more than what is not.
        return (max(busy, range.light.microseconds(traffic) * factor), busy)
    }

    /// How busy a process is that has so many frames a second: the part of a core, 1 where it has no pause. More than 1 is more
    /// than it can do.
    ///
    /// At utilisation u a frame costs busy + (light − busy)(1 − u), and u is the rate times that.
    public static func utilisation(of cost: (light: Double, busy: Double), framesPerSecond rate: Double) -> Double {
        let perMicrosecond = rate / 1_000_000
        let light = perMicrosecond * cost.light
        let wanted = light / (1 + perMicrosecond * (cost.light - cost.busy))
        return wanted < 1 ? wanted : perMicrosecond * cost.busy
    }

    /// So many frames a second make a process as busy as that.
    public static func framesPerSecond(of cost: (light: Double, busy: Double), at utilisation: Double) -> Double {
        1_000_000 * utilisation / (cost.busy + (cost.light - cost.busy) * max(0, 1 - utilisation))
    }
}
