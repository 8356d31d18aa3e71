/// What stops a role: a kind to decide by, and one sentence that says what, where and what to do.
public struct PipelineError: Error, Hashable, CustomStringConvertible {
    /// What kind of failure it is.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        let name: String
        /// A name, a number, an address or another option cannot be used as it is.
        public static let invalidConfiguration = Self(name: "invalid configuration")
        /// The pipeline has no model, or the broker does not have all of it.
        public static let modelUnavailable = Self(name: "model unavailable")
        /// A model does not fit what is asked of it: its branches, its input, or what was announced of it.
        public static let modelMismatch = Self(name: "model mismatch")
        /// Another process sent what cannot be understood.
        public static let invalidMessage = Self(name: "invalid message")
        /// A sensor's source cannot be read, or not all of it.
        public static let unreadableInput = Self(name: "unreadable input")
        /// This machine lacks memory, disk space, or something else that the operating system gives.
        public static let resources = Self(name: "resources")
        /// A broker or a role that was started here did not start, or ended early.
        public static let processFailed = Self(name: "process failed")
        /// The broker lacks what a pipeline needs.
        public static let unsuitableBroker = Self(name: "unsuitable broker")
        /// Something did not happen in time.
        public static let timedOut = Self(name: "timed out")
        public var description: String { name }
    }

    public let code: Code
    /// One sentence: what, where, what to do.
    public let description: String

    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}
