public import MQTT
public import Platform

/// How a role reaches its pipeline.
public struct PipelineConfiguration: Sendable {
    /// The broker, credentials and TLS. Client identifier and last will are the role's business.
    public var mqtt: MQTTConfiguration
    public var pipeline: String
    public var prefix = "lcp"
    /// For inputs, features and predictions. 0 by default: a frame that is late is worthless, so nobody repeats one.
    public var qos = QoS.atMostOnce
    /// How long the aggregator waits for the other branches, from the first.
    public var deadline = Duration.milliseconds(100)
    /// Which frames are answered where more come than can be computed.
    public var policy = FramePolicy.latest
    /// How predictions follow each other.
    public var order = PredictionOrder.sensor
    /// The most frames that wait where the policy is ``FramePolicy/all``.
    public var queueLimit = 64
    /// The key that pushed models have to be signed with; nil where anybody may push one.
    public var modelKey: VerificationKey?

    public init(mqtt: MQTTConfiguration, pipeline: String) {
        self.mqtt = mqtt
        self.pipeline = pipeline
    }
}
