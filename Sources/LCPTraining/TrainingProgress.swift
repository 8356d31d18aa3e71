public import LCPModels

/// Images to train on: UINT8, HWC, one after the other, or the bytes of a signal's numbers, FP32, and their classes.
public struct TrainingSet: Sendable {
    public var pixels: [UInt8]
    public var labels: [UInt16]

    public init(pixels: [UInt8], labels: [UInt16]) {
        self.pixels = pixels
        self.labels = labels
    }
}

/// How far training is.
public struct TrainingProgress: Sendable {
    /// From 1.
    public var epoch: Int
    public var epochs: Int
    /// 0 to 1, of everything.
    public var fraction: Double
    /// Of this epoch so far.
    public var loss: Double
    public var accuracy: Double
    public var imagesPerSecond: Double
    /// Until the end, seconds.
    public var remaining: Double
    /// The epoch's record, when it has ended.
    public var record: ModelManifest.EpochRecord?
}
