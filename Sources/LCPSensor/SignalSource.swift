import LCPDatasets
import LCPModels
import LCPWire
public import Signals

/// Where a sensor's numbers come from: records or sound, from a file, standard input or an MQTT topic.
public struct SignalSource: Sendable, Hashable {
    public enum Origin: Sendable, Hashable {
        case standardInput
        case file(String)
        /// On the sensor's own broker, a message for each record or list of records.
        case topic(String)
    }

    public var format: SignalReader.Format
    public var origin: Origin
    public var options = RecordOptions()
    /// The samples, or frames of sound, of a window; nil for the model's.
    public var window: Int?
    /// From one window to the next; nil for the model's.
    public var hop: Int?

    /// What can be written, for help texts.
    public static let forms =
        "json:mqtt:TOPIC, json:FILE, csv:FILE[,label=COLUMN…], wav:FILE, or json:-, csv:-, wav:- and pcm:- for standard input"

    /// Reads ``forms``; nil for another kind of source.
    ///
    /// - Throws: ``PipelineError``, or ``DatasetError`` for a mapping of columns.
    public init?(_ text: String) throws {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else { return nil }
        switch parts[0] {
        case "json": format = .json
        case "csv": format = .csv
        case "wav": format = .sound(.wav)
        case "pcm": format = .sound(.pcm)
        default: return nil
        }
        var place = parts[1]
        if format == .csv {
            let files = try RecordFiles(place)
            (place, options, hop) = (files.training, files.options, files.hop)
            guard files.test == nil else {
                throw PipelineError(
                    .invalidConfiguration, "\(text.debugDescription) names two files, and a sensor reads one")
            }
        }
        if place == "-" {
            origin = .standardInput
        } else if format == .json, place.hasPrefix("mqtt:") {
            let topic = String(place.dropFirst(5))
            guard !topic.isEmpty, !topic.contains(where: { $0 == "+" || $0 == "#" }) else {
                throw PipelineError(
                    .invalidConfiguration,
                    "\(text.debugDescription): a sensor reads one topic, json:mqtt:TOPIC, without + and #; start one for each"
                )
            }
            origin = .topic(topic)
        } else {
            guard !place.isEmpty, format != .sound(.pcm) else {
                throw PipelineError(
                    .invalidConfiguration, "\(text.debugDescription) is no source: write \(Self.forms)")
            }
            origin = .file(place)
        }
    }

    /// For messages.
    var name: String {
        switch origin {
        case .standardInput: "standard input"
        case .file(let path): path
        case .topic(let topic): "the topic \(topic)"
        }
    }

    /// Whether samples come when they are there, and not when they are asked for.
    var isLive: Bool { if case .file = origin { false } else { true } }

    /// What can be read without a model: named fields.
    var ownSignal: Signal? { options.fields.map { Signal(fields: $0.names) } }
}
