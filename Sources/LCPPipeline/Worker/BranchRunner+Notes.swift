import Images
import LCPWire

/// What a runner tells people of inputs, and keeps for those who ask.
extension BranchRunner {
    /// Says what is odd about an input, and keeps what may be asked for.
    func saw(
        _ identity: FrameIdentity, _ data: InputDecoder.Input, _ topic: String, _ payload: UnsafeRawBufferPointer,
        _ version: Version
    ) {
        if case .decoded(let pixels, let notes) = data {
            note(notes, topic, background: version.decoder.background)
            if branch == 0, Brightness.looksInverted(pixels, version.preprocessing) { noteInverted(topic) }
        }
        if identity.session == 0, branch == 0 {
            shared.bareInputs.keep(Topics.sensor(of: topic), identity.frame, payload, version.decoder.shape)
        }
    }

    private func note(_ notes: ImageNotes, _ topic: String, background: UInt8) {
        func sentence(_ note: ImageNotes) -> String {
            "\(topic): a picture is \(note.words(background: background))"
        }
        if notes.contains(.odd),
            let line = warnings.add("damaged_picture", sentence(.odd))
        {
            session.log.warning(line)
        }
        // Every frame of a sensor has it, or none.
        if notes.contains(.transparent),
            let line = warnings.add("transparent_picture", sentence(.transparent)),
            warnings.counts["transparent_picture"] == 1
        {
            session.log.warning(line)
        }
    }

    private func noteInverted(_ topic: String) {
        if let line = warnings.add("inverted_picture", "\(topic): a picture is \(Brightness.hint)"),
            warnings.counts["inverted_picture"] == 1
        {
            session.log.warning(line)
        }
    }
}
