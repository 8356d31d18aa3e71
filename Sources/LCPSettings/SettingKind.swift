import Platform
import LCPModels
import MQTT

/// What may stand for a setting, and how text becomes a value.
package enum SettingKind {
    case text
    /// A level of a topic.
    case topicLevel
    case address
    case path
    /// A bundle's name or its folder.
    case model
    /// Where a sensor's frames come from, such as `dir:FOLDER`.
    case source
    /// `HEIGHTxWIDTHxCHANNELS`.
    case shape
    /// How frames are written, or `auto`.
    case encoding
    /// Of Ed25519, in base64.
    case publicKey
    case whole(ClosedRange<Int>)
    /// More than 0.
    case number(upTo: Int, unit: String)
    case choice([String])
    case truth
    /// ``PerSensor`` numbers from 0 to 1.
    case thresholds
    /// ``PerSensor`` majorities.
    case majorities

    /// The forms of a source that name a data set's folder.
    package static let dataSets = ["mnist:", "fashion-mnist:", "cifar10:", "cifar100:", "folder:"]

    /// The longest text, bytes.
    static let maximumTextSize = 4096

    /// Reads a value.
    ///
    /// - Parameter isQuoted: whether it stands in quotes, so that it is no number.
    /// - Throws: what is wrong, as the rest of a sentence that begins with the setting.
    func value(_ text: String, isQuoted: Bool = false) throws(Mistake) -> SettingValue {
        guard text.utf8.count <= Self.maximumTextSize else {
            throw Mistake(" has \(text.utf8.count) bytes, more than the \(Self.maximumTextSize) allowed")
        }
        guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw Mistake(" has a control character in it: take it out")
        }
        switch self {
        case .text, .path, .model, .source:
            guard !text.isEmpty else { throw Mistake(" is empty: write a value or leave it out") }
            return .text(text)
        case .topicLevel:
            guard text.isTopicLevel else {
                throw Mistake(
                    " cannot be part of a topic: use 1 to 128 bytes without spaces, /, + and #, not \(Self.quote(text))"
                )
            }
            return .text(text)
        case .address:
            // Not quoted: it may hold a password.
            guard !text.contains("@") else {
                throw Mistake(
                    " is not a broker's address: a user and a password do not belong in it; use --user and --password-file, "
                        + "or user and password_file below broker")
            }
            do { _ = try MQTTAddress.list(text) } catch { throw Mistake(": \(error)") }
            return .text(text)
        case .shape:
            do { _ = try FeatureMapShape(frame: text) } catch { throw Mistake(" \(error)") }
            return .text(text)
        case .publicKey:
            do { _ = try VerificationKey(text) } catch { throw Mistake(" \(error)") }
            return .text(text)
        case .encoding:
            guard text == "auto" || FrameEncoding(text) != nil else {
                throw Mistake(" is \(expectation), not \(Self.quote(text))")
            }
            return .text(text)
        case .whole, .number, .truth:
            guard !isQuoted else {
                throw Mistake(" is \(expectation), not the text \(Self.quote(text)): take away the quotes")
            }
            guard let value = unquoted(text) else { throw Mistake(" is \(expectation), not \(Self.plain(text))") }
            return value
        case .thresholds:
            guard Self.thresholds(text) != nil else { throw Mistake(" is \(expectation), not \(Self.plain(text))") }
            return .text(text)
        case .majorities:
            guard Self.majorities(text) != nil else { throw Mistake(" is \(expectation), not \(Self.quote(text))") }
            return .text(text)
        case .choice(let choices):
            guard choices.contains(text) else { throw Mistake(" is \(expectation), not \(Self.quote(text))") }
            return .text(text)
        }
    }

    private func unquoted(_ text: String) -> SettingValue? {
        switch self {
        case .whole(let range): Int(text).flatMap { range.contains($0) ? .whole($0) : nil }
        case .number(let limit, _):
            // Not "nan", "inf" or hexadecimal digits, which Double reads, too.
            text.utf8.allSatisfy({ "0123456789.+-eE".utf8.contains($0) })
                ? Double(text).flatMap { $0 > 0 && $0 <= Double(limit) ? .number($0) : nil } : nil
        case .truth: Bool(text).map(SettingValue.truth)
        default: nil
        }
    }

    /// What is allowed, in words that follow "is".
    var expectation: String {
        switch self {
        case .text, .topicLevel: "text"
        case .address: "a broker's address"
        case .path: "a file's path"
        case .model: "a model's name or folder"
        case .source: "a source"
        case .shape: "a shape"
        case .publicKey: "the public key that lcp model keygen printed"
        case .encoding: "auto, \(FrameEncoding.forms) with a quality from 1 to 100"
        case .whole(0...2): "0, 1 or 2"
        case .whole(let range):
            "a whole number from \(Self.grouped(range.lowerBound)) to \(Self.grouped(range.upperBound))"
        case .number(let limit, let unit): "a number, more than 0 and at most \(Self.grouped(limit))\(unit)"
        case .choice(let choices): choices.joined(separator: " or ")
        case .truth: "true or false"
        case .thresholds: "a number from 0 to 1, or one for each sensor, as in 0.6,door=0.8"
        case .majorities:
            "more than half of at most \(Self.largestWindow), as in 3/5, or one for each sensor, as in 3/5,door=2/3"
        }
    }

    /// The most predictions that a majority is of.
    static let largestWindow = 100

    /// The numbers of a text for ``thresholds``; nil where it is none.
    static func thresholds(_ text: String) -> PerSensor<Double>? {
        PerSensor(text) { text in
            guard text.utf8.allSatisfy({ "0123456789.".utf8.contains($0) }) else { return nil }
            return Double(text).flatMap { (0...1).contains($0) ? $0 : nil }
        }
    }

    /// The majorities of a text for ``majorities``; nil where it is none.
    static func majorities(_ text: String) -> PerSensor<Majority>? {
        PerSensor(text) { Majority($0, limit: largestWindow) }
    }

    /// The path as seen from the folder of the file that it stands in.
    func relative(_ text: String, to folder: String, exists: (String) -> Bool) -> String {
        func below(_ path: some StringProtocol) -> String { path.hasPrefix("/") ? String(path) : "\(folder)/\(path)" }
        switch self {
        case .path: return below(text)
        case .model:
            // A name alone is a bundle that came with the program, unless a folder of that name lies beside the file.
            return text.contains("/") || exists("\(folder)/\(text)/model.json") ? below(text) : text
        case .source:
            guard let colon = text.firstIndex(of: ":") else { return text }
            let scheme = text[...colon]
            let rest = text[colon...].dropFirst()
            switch scheme {
            case "dir:", "watch:", "file:": return scheme + below(rest)
            case _ where Self.dataSets.contains(String(scheme)): return scheme + below(rest)
            case "csv:", "json:", "wav:":
                // Standard input and topics are no files; options stand behind a comma.
                return rest.hasPrefix("-") || rest.hasPrefix("mqtt:") ? text : scheme + below(rest)
            case "idx:":
                // Options stand behind the files.
                return scheme
                    + rest.split(separator: ",").map {
                        $0 == "transposed" || $0.hasPrefix("first=") ? String($0) : below($0)
                    }.joined(separator: ",")
            default: return text
            }
        default: return text
        }
    }

    struct Mistake: Error {
        var rest: String
        init(_ rest: String) { self.rest = rest }
    }

    private static func quote(_ text: String) -> String {
        text.count <= 60 ? text.debugDescription : "\(text.prefix(60).debugDescription)…"
    }

    private static func plain(_ text: String) -> String { Double(text) != nil && text.count <= 60 ? text : quote(text) }

    private static func grouped(_ number: Int) -> String {
        var digits = "\(number)"
        var position = digits.count - 3
        while position > 0 {
            digits.insert(",", at: digits.index(digits.startIndex, offsetBy: position))
            position -= 3
        }
        return digits
    }
}

extension FeatureMapShape {
    /// Reads the shape of frames, `HEIGHTxWIDTHxCHANNELS`.
    ///
    /// - Throws: ``SettingsError``, the rest of a sentence that begins with the setting.
    package init(frame text: String) throws(SettingsError) {
        let numbers = text.lowercased().split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard numbers.count == 3, let height = numbers[0], let width = numbers[1], let channels = numbers[2],
            (1...16_384).contains(height), (1...16_384).contains(width), channels == 1 || channels == 3
        else {
            throw SettingsError("is HEIGHTxWIDTHxCHANNELS with 1 or 3 channels, for example 28x28x1")
        }
        self.init(height: height, width: width, channels: channels)
    }
}
