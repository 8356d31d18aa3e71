/// What identifies a frame in the join. The model is not in it: while one model takes another's place, a frame is open in both.
struct FrameKey: Hashable {
    var sensor: String
    /// Random at the sensor's start; 0 for a bare input, which has no number of its own.
    var session: UInt64
    /// The frame's number; for a bare input the hash of its bytes.
    var frame: UInt64

    /// The frames of one sensor since its start, whose numbers rise.
    struct Stream: Hashable {
        var sensor: String
        var session: UInt64
    }

    /// Nil for a bare input.
    var stream: Stream? { session == 0 ? nil : Stream(sensor: sensor, session: session) }
}
