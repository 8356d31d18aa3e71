/// How much wider the layers of a branch are than their share of the whole network's, in per cent (paper section 3, step 5).
///
/// The paper makes all layers wider alike. Convolutions and fully connected layers can be told apart, because in many networks
/// the latter have most of the weights and the former most of what narrow branches lack: a network's parameters are then spent
/// where they help. Below 0, layers are narrower than their share.
public struct Fattening: Sendable, Hashable {
    /// Of convolutions, −90 to 1000.
    public var convolutions: Int
    /// Of fully connected layers, −90 to 1000.
    public var fullyConnected: Int

    public static let none: Fattening = 0

    /// What branches can be fattened by.
    static let range = -90...1000

    public init(convolutions: Int, fullyConnected: Int) {
        self.convolutions = convolutions
        self.fullyConnected = fullyConnected
    }

    /// The width of a branch's layer whose share is `share`, rounded to the nearest, but never below 1.
    func width(_ share: Int, of layer: Layer) -> Int {
        let percent =
            switch layer {
            case .fullyConnected: fullyConnected
            default: convolutions
            }
        return max(1, (share * (100 + percent) + 50) / 100)
    }
}

extension Fattening: ExpressibleByIntegerLiteral {
    /// All layers alike.
    public init(integerLiteral percent: Int) { self.init(convolutions: percent, fullyConnected: percent) }
}

/// `40` for all layers, `50,0` for convolutions and fully connected layers.
extension Fattening: LosslessStringConvertible {
    public init?(_ text: String) {
        let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        guard let first = numbers.first ?? nil, let last = numbers.last ?? nil, numbers.count <= 2 else { return nil }
        self.init(convolutions: first, fullyConnected: last)
    }

    public var description: String {
        convolutions == fullyConnected ? "\(convolutions)" : "\(convolutions),\(fullyConnected)"
    }
}

/// In JSON a number, or the text of two.
extension Fattening: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let percent = try? container.decode(Int.self) {
            self.init(integerLiteral: percent)
            return
        }
        guard let value = Fattening(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "fattening is per cent, or two of them, for example \"50,0\"")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if convolutions == fullyConnected {
            try container.encode(convolutions)
        } else {
            try container.encode(description)
        }
    }
}
