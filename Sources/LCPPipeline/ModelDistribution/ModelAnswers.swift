import LCPWire
import Platform

/// Which of many devices that have what is asked for gives it: the one whose chance comes first says so, and the others are silent.
/// A pure state machine with time passed in.
struct ModelAnswers {
    typealias Instant = ContinuousClock.Instant

    /// When this device would answer, by what is asked for: a file's SHA-256, or nil for the manifest.
    private var due: [String?: Instant] = [:]
    /// Until when nobody answers again.
    private var silent: [String?: Instant] = [:]

    /// What was just given is on its way to whoever asks for it. Who begins to listen after that asks for a file again, but for the
    /// manifest only once, so that this question is answered behind a short pause.
    static func pause(after file: String?) -> Duration { file == nil ? .milliseconds(250) : .seconds(1) }
    /// Endless strangers do not fill the memory.
    static let maximumOpen = 64

    /// When ``time(_:)`` is to be called.
    var nextDue: Instant? { due.values.min() }

    /// Somebody asked, or said that he answers.
    ///
    /// - Parameter delay: by chance, up to ``OfferWatch/patience``; nil where this device does not have it.
    mutating func heard(_ request: ModelRequest, now: Instant, delay: Duration?) {
        silent = silent.filter { $0.value > now }
        if request.isGiven == true {
            due[request.file] = nil
            if silent.count < Self.maximumOpen { silent[request.file] = now + Self.pause(after: request.file) }
        } else if let delay, due[request.file] == nil, due.count < Self.maximumOpen {
            let end = silent[request.file]
            if end == nil || request.file == nil { due[request.file] = max(now + delay, end ?? now) }
        }
    }

    /// - Returns: what this device answers now.
    mutating func time(_ now: Instant) -> [ModelRequest] {
        let answers = due.filter { $0.value <= now }.keys
        for file in answers {
            due[file] = nil
            silent[file] = now + Self.pause(after: file)
        }
        return answers.map { ModelRequest(file: $0) }
    }
}
