/// Which frames are answered where more come than can be computed.
public enum FramePolicy: String, Sendable, Hashable, CaseIterable {
    /// The newest of each sensor: an old frame gives way.
    case latest
    /// All, as long as the queue has room.
    case all
}
