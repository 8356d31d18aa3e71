/// What identifies a frame in the join. The model is not in it: while one model takes another's place, a frame is open in both.
struct FrameKey: Hashable {
    /// The frames of one sensor since its start, whose numbers rise.
    struct Stream: Hashable {
        let sensor: String
        /// Random at the sensor's start; 0 for bare inputs, which have no numbers of their own.
        let session: UInt64
        /// Of the name: a key is looked up many times, and a name takes longer to hash than the rest.
        private let sensorHash: Int

        init(sensor: String, session: UInt64) {
            (self.sensor, self.session) = (sensor, session)
            sensorHash = sensor.hashValue
        }

        static func == (left: Self, right: Self) -> Bool {
            left.session == right.session && left.sensorHash == right.sensorHash && left.sensor == right.sensor
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(sensorHash)
            hasher.combine(session)
        }
    }

    private let source: Stream
    /// The frame's number; for a bare input the hash of its bytes.
    let frame: UInt64

    var sensor: String { source.sensor }
    var session: UInt64 { source.session }
    /// Nil for a bare input.
    var stream: Stream? { source.session == 0 ? nil : source }

    init(sensor: String, session: UInt64, frame: UInt64) {
        source = Stream(sensor: sensor, session: session)
        self.frame = frame
    }

    private init(source: Stream, frame: UInt64) { (self.source, self.frame) = (source, frame) }

    /// Another frame of the same stream.
    func with(frame: UInt64) -> FrameKey { FrameKey(source: source, frame: frame) }

    static func == (left: Self, right: Self) -> Bool { left.frame == right.frame && left.source == right.source }
}
