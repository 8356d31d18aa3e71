import Platform
/// The topics of one pipeline: `PREFIX/PIPELINE/…`.
public struct Topics: Sendable, Hashable {
    /// `PREFIX/PIPELINE`.
    public let root: String

    /// - Throws: ``PipelineError`` where a name cannot be a level of a topic.
    public init(prefix: String = "lcp", pipeline: String) throws(PipelineError) {
        for (what, name) in [("prefix", prefix), ("pipeline's name", pipeline)] where !name.isTopicLevel {
            throw PipelineError(
                .invalidConfiguration,
                "the \(what) \(name.debugDescription) cannot be part of a topic: use 1 to 128 bytes without spaces, /, + and #"
            )
        }
        root = "\(prefix)/\(pipeline)"
    }

    /// Where a sensor publishes its frames.
    public func input(_ sensor: String) -> String { "\(root)/input/\(sensor)" }
    /// All inputs.
    public var inputs: String { "\(root)/input/+" }
    /// All inputs, shared between the replicas of one branch. While a model takes another's place that has another number of
    /// branches, those of both are computed.
    public func sharedInputs(branch: Int, of count: Int) -> String { "$share/branch-\(branch)-of-\(count)/\(inputs)" }

    /// Where a sensor publishes the frames that it deals to a lane: one worker of every branch.
    public func lane(_ lane: Int, _ sensor: String) -> String { "\(root)/lane/\(lane)/\(sensor)" }
    /// All frames of a lane.
    public func laneInputs(_ lane: Int) -> String { "\(root)/lane/\(lane)/+" }
    /// All frames that are dealt to lanes.
    public var allLaneInputs: String { "\(root)/lane/+/+" }
    /// Where a sensor asks which of its frames were answered.
    public func unanswered(_ sensor: String) -> String { "\(root)/unanswered/\(sensor)" }
    /// Where an aggregator tells it.
    public func answered(_ sensor: String) -> String { "\(root)/answered/\(sensor)" }
    /// Where a sensor is asked for a frame again.
    public func again(_ sensor: String) -> String { "\(root)/again/\(sensor)" }

    /// The retained task of a worker.
    public func task(_ worker: String) -> String { "\(root)/task/\(worker)" }
    /// The tasks of all workers.
    public var tasks: String { "\(root)/task/+" }

    /// Where a branch publishes what it made of a sensor's frames.
    public func features(branch: Int, sensor: String) -> String { "\(root)/features/\(branch)/\(sensor)" }
    /// The features of all branches and sensors.
    public var allFeatures: String { "\(root)/features/+/+" }
    /// Where a branch publishes them while several aggregators share the sensors, by the bucket of the sensor.
    public func features(bucket: some CustomStringConvertible, branch: Int, sensor: String) -> String {
        "\(root)/features/\(bucket)/\(branch)/\(sensor)"
    }
    /// The features of all sensors of a bucket.
    public func bucketFeatures(_ bucket: Int) -> String { "\(root)/features/\(bucket)/+/+" }
    /// The features of all buckets.
    public var allBucketFeatures: String { "\(root)/features/+/+/+" }
    /// How many buckets the sensors fall into.
    public static let bucketCount = 32
    /// Where an aggregator tells the others what it does.
    public func group(_ aggregator: String) -> String { "\(root)/group/\(aggregator)" }
    /// What all aggregators tell each other.
    public var groups: String { "\(root)/group/+" }

    /// Where the predictions for a sensor appear.
    public func prediction(_ sensor: String) -> String { "\(root)/prediction/\(sensor)" }
    /// All predictions.
    public var predictions: String { "\(root)/prediction/+" }

    /// Where it is said that what a sensor shows has changed.
    public func event(_ sensor: String) -> String { "\(root)/event/\(sensor)" }
    /// The retained label that holds for a sensor.
    public func state(_ sensor: String) -> String { "\(root)/state/\(sensor)" }
    /// The labels of all sensors.
    public var states: String { "\(root)/state/+" }
    /// The retained picture of a sensor, a JPEG.
    public func snapshot(_ sensor: String) -> String { "\(root)/snapshot/\(sensor)" }
    /// Where a sensor's picture is asked for.
    public func snapshotRequest(_ sensor: String) -> String { "\(snapshot(sensor))/get" }
    /// Where all sensors' pictures are asked for.
    public var snapshotRequests: String { "\(root)/snapshot/+/get" }

    /// The retained status of one process.
    public func status(_ role: Role, _ id: String) -> String { "\(root)/status/\(role.rawValue)/\(id)" }
    /// All statuses.
    public var statuses: String { "\(root)/status/+/+" }
    /// The statuses of everybody of a role.
    public func statuses(_ role: Role) -> String { "\(root)/status/\(role.rawValue)/+" }

    /// The statuses of everybody of a name.
    public func statuses(named id: String) -> String { "\(root)/status/+/\(id)" }
    /// Where everybody is asked to say its status once more, on brokers that do not give kept ones to subscriptions with wildcards.
    public var call: String { "\(root)/call" }

    /// The retained plan that says which frames are computed where more come than can be.
    public var flow: String { "\(root)/flow" }

    /// Where a worker is asked for a sign of life.
    public func probe(_ id: String) -> String { "\(root)/probe/\(id)" }

    /// The retained manifest of the pipeline's model.
    public var modelManifest: String { "\(root)/model/manifest" }
    /// The retained manifest of the model before it.
    public var modelPrevious: String { "\(root)/model/previous" }
    /// The retained manifest of a model that is tried beside the pipeline's.
    public var modelCanary: String { "\(root)/model/canary" }
    /// Where a role asks the others for what the broker has not kept.
    package var modelRequests: String { "\(root)/model/wanted" }
    /// Both manifests by a filter with a wildcard.
    package var modelManifests: String { "\(root)/model/+" }
    /// A piece of a file of the model, named by the SHA-256 of the file.
    public func modelBlob(_ sha256: String, chunk: Int) -> String { "\(root)/model/blob/\(sha256)/\(chunk)" }
    /// All pieces of a file.
    public func modelBlobs(_ sha256: String) -> String { "\(root)/model/blob/\(sha256)/+" }

    /// The counters of one process.
    public func statistics(_ role: Role, _ id: String) -> String { "\(root)/stats/\(role.rawValue)/\(id)" }
    /// The counters of all workers.
    public var workerStatistics: String { "\(root)/stats/worker/+" }

    /// The last level of a topic: the sensor of an input, features or prediction topic.
    public static func sensor(of topic: String) -> String {
        guard let slash = topic.utf8.lastIndex(of: UInt8(ascii: "/")) else { return topic }
        return String(topic[topic.utf8.index(after: slash)...])
    }

    /// The role of a status topic: the last level but one.
    package static func role(of topic: String) -> String? {
        topic.split(separator: "/").suffix(2).first.map(String.init)
    }

    /// The branch and the sensor of a features topic of this pipeline.
    package func featuresParts(of topic: String) -> (branch: Int, sensor: String)? {
        guard topic.hasPrefix(root) else { return nil }
        let levels = topic.dropFirst(root.count).split(separator: "/", omittingEmptySubsequences: false)
        // With a bucket or without.
        guard levels.count == 4 || levels.count == 5, levels[1] == "features",
            let branch = UInt16(levels[levels.count - 2])
        else { return nil }
        return (Int(branch), String(levels[levels.count - 1]))
    }
}
