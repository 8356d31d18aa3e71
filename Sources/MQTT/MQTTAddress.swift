/// Where a broker listens: `mqtt://HOST[:PORT]`, `mqtts://HOST[:PORT]` or `unix:/PATH`.
public enum MQTTAddress: Sendable, Hashable, CustomStringConvertible {
    /// Plain TCP, port 1883 where none is given.
    case tcp(host: String, port: Int)
    /// TLS over TCP, port 8883 where none is given.
    case tls(host: String, port: Int)
    /// A Unix socket.
    case unix(path: String)

    /// Whether everything that is sent there is encrypted.
    public var isTLS: Bool { if case .tls = self { true } else { false } }

    /// Reads an address. Without a scheme it is taken as `mqtt://`. An IPv6 address stands in brackets.
    ///
    /// - Throws: ``MQTTError`` with ``MQTTError/Code/invalidConfiguration`` and a sentence that says what is wrong.
    public init(_ text: String) throws(MQTTError) {
        func wrong(_ reason: String) -> MQTTError {
            MQTTError(
                .invalidConfiguration,
                "\(text.debugDescription) is not a broker's address: \(reason); write mqtt://HOST:PORT, mqtts://HOST:PORT or unix:/PATH"
            )
        }
        if text.hasPrefix("unix:") {
            var path = text.dropFirst("unix:".count)
            if path.hasPrefix("//") { path = path.dropFirst(2) }
            guard path.hasPrefix("/") else { throw wrong("the path of a Unix socket starts with /") }
            guard path.utf8.count < 108 else { throw wrong("the path of a Unix socket has at most 107 bytes") }
            self = .unix(path: String(path))
            return
        }
        var rest = Substring(text)
        var secure = false
        if let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") {
            switch text[..<colon].lowercased() {
            case "mqtt", "tcp": break
            case "mqtts", "ssl", "tls": secure = true
            default: throw wrong("the scheme \(text[..<colon]) is unknown")
            }
            rest = text[colon...].dropFirst(3)
        }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard !rest.contains("@") else {
            throw wrong("a user and password do not belong in an address: use --user and --password-file")
        }
        guard !rest.contains("/") else { throw wrong("there is something behind the port") }
        var host = rest
        var port = secure ? 8883 : 1883
        var portText: Substring?
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else {
                throw wrong("the bracket of the IPv6 address is not closed")
            }
            host = rest[rest.index(after: rest.startIndex)..<end]
            let tail = rest[rest.index(after: end)...]
            guard tail.isEmpty || tail.hasPrefix(":") else { throw wrong("a colon is missing behind the bracket") }
            if !tail.isEmpty { portText = tail.dropFirst() }
        } else if let colon = rest.lastIndex(of: ":") {
            guard rest.firstIndex(of: ":") == colon else { throw wrong("an IPv6 address needs brackets") }
            host = rest[..<colon]
            portText = rest[rest.index(after: colon)...]
        }
        if let portText {
            guard let number = Int(portText), (1...65535).contains(number) else {
                throw wrong("the port is a number from 1 to 65535")
            }
            port = number
        }
        guard !host.isEmpty else { throw wrong("the host is missing") }
        guard host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw wrong("the host has characters that no host has")
        }
        let isNumeric = host.utf8.allSatisfy { $0 == UInt8(ascii: ".") || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        guard !isNumeric || numbers.count == 4 && !numbers.contains(nil) else {
            throw wrong("an address in numbers has four of them, 0 to 255")
        }
        self = secure ? .tls(host: String(host), port: port) : .tcp(host: String(host), port: port)
    }

    /// Reads the addresses of a cluster's nodes with commas between them: `mqtt://first,second:1884`. The scheme of the first
    /// holds for those that name none. A Unix socket stands alone.
    ///
    /// - Throws: ``MQTTError`` with ``MQTTError/Code/invalidConfiguration`` and a sentence that says what is wrong.
    public static func list(_ text: String) throws(MQTTError) -> [MQTTAddress] {
        guard text.contains(","), !text.hasPrefix("unix:") else { return [try MQTTAddress(text)] }
        var scheme = ""
        var found: [MQTTAddress] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let part = part.drop { $0 == " " }
            let named = part.firstIndex(of: ":").flatMap { part[$0...].hasPrefix("://") ? part[..<$0] : nil }
            if found.isEmpty, let named { scheme = "\(named)://" }
            found.append(try MQTTAddress((named == nil ? scheme : "") + part))
        }
        func wrong(_ reason: String) -> MQTTError {
            MQTTError(.invalidConfiguration, "\(text.debugDescription) is not a cluster's addresses: \(reason)")
        }
        guard found.count <= maximumNodes else { throw wrong("there are more than \(maximumNodes)") }
        guard Set(found).count == found.count else { throw wrong("one is there twice") }
        guard Set(found.map(\.isTLS)).count == 1, !found.contains(where: \.isUnix) else {
            throw wrong("either all have TLS or none has, and a Unix socket stands alone")
        }
        return found
    }

    /// The most nodes of a cluster that are tried.
    static let maximumNodes = 16

    private var isUnix: Bool { if case .unix = self { true } else { false } }

    public var description: String {
        func bracketed(_ host: String) -> String { host.contains(":") ? "[\(host)]" : host }
        return switch self {
        case .tcp(let host, let port): "mqtt://\(bracketed(host)):\(port)"
        case .tls(let host, let port): "mqtts://\(bracketed(host)):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
