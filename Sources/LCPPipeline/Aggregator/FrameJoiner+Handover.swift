import LCPWire

/// What changes where one aggregator takes sensors over from another.
extension FrameJoiner {
    /// Whether a frame is open, in whichever model.
    func isOpen(_ key: FrameKey) -> Bool { versions.contains { $0.table.open[key] != nil } }

    /// Whether a frame of one of these sensors is open.
    func hasOpen(where isMeant: (String) -> Bool) -> Bool {
        versions.contains { $0.table.open.keys.contains { isMeant($0.sensor) } }
    }

    /// Forgets all open frames: others may have answered them.
    mutating func discardOpen() {
        for index in versions.indices {
            while let slot = versions[index].table.oldest() { versions[index].table.close(slot, isAnswered: false) }
        }
    }

    /// A frame was not answered after all: its shares may come again.
    mutating func forget(_ key: FrameKey) {
        for index in versions.indices { versions[index].table.answered.remove(key) }
    }

    /// Another aggregator has answered these frames.
    ///
    /// - Parameter floor: up to here everything counts as answered.
    mutating func learn(_ stream: FrameKey.Stream, floor: UInt64?, _ ranges: [ClosedRange<UInt64>]) {
        // Its name is hashed once.
        let key = FrameKey(sensor: stream.sensor, session: stream.session, frame: 0)
        for index in versions.indices {
            if let floor { versions[index].table.answered.learn(stream, floor: floor) }
            for range in ranges {
                for frame in range { versions[index].table.answered.insert(key.with(frame: frame)) }
            }
        }
    }

    /// What was answered of these sensors, for whoever takes them over.
    func answered(where isMeant: (String) -> Bool) -> [AggregatorBeat.Stream] {
        // In one table stands what was answered in any.
        guard let answered = versions.last?.table.answered else { return [] }
        return answered.streams(where: isMeant).map { stream, known in
            AggregatorBeat.Stream(
                sensor: stream.sensor, session: stream.session, floor: known.floor,
                answered: known.frames.sorted().ranges)
        }
    }
}

extension [UInt64] {
    /// Numbers that rise, as the ranges that they form.
    var ranges: [ClosedRange<UInt64>] {
        reduce(into: []) { $0.extend(with: $1) }
    }
}

extension [ClosedRange<UInt64>] {
    /// Takes one more number: into the last range where it follows that, else, up to so many, as a range of its own.
    mutating func extend(with number: UInt64, most: Int = .max) {
        if let last, number > 0, last.upperBound == number - 1 {
            self[count - 1] = last.lowerBound...number
        } else if count < most {
            append(number...number)
        }
    }
}
