import Glibc
import LCPWire
import Platform
import Synchronization

/// A name for a process that was given none: the same after every start, and no other's.
///
/// It is the machine's name, a random part that is kept on the machine, for containers that all have one name, and, behind the
/// first process of a role, a number. The number's folder is locked for as long as the process has the name.
final class DefaultName: Sendable {
    let text: String
    private let lock: FolderLock?

    private init(_ text: String, _ lock: FolderLock?) { (self.text, self.lock) = (text, lock) }

    /// The most processes of a role that have names on one machine.
    private static let maximumSlots = 1024

    /// Takes the first name that is free.
    ///
    /// - Parameter folder: where names are kept; where it cannot be written, the name is another one after every start.
    static func take(_ role: Role, host: String = hostName, in folder: String? = standardFolder) -> DefaultName {
        let base = valid(host)
        guard let folder, let part = try? keptPart(folder) else { return DefaultName("\(base)-\(random(8))", nil) }
        for slot in 1...maximumSlots {
            guard let lock = try? FolderLock.making("\(folder)/\(role.rawValue)/\(slot)") else { continue }
            return DefaultName(slot == 1 ? "\(base)-\(part)" : "\(base)-\(part)-\(slot)", lock)
        }
        return DefaultName("\(base)-\(random(8))", nil)
    }

    /// `$LCP_STATE`, systemd's `$STATE_DIRECTORY`, `$XDG_STATE_HOME/lcp` or `~/.local/state/lcp`; nil where there is no home.
    static var standardFolder: String? {
        let folder =
            environmentVariable("LCP_STATE") ?? environmentVariable("STATE_DIRECTORY") ?? environmentVariable(
                "XDG_STATE_HOME"
            ).map { "\($0)/lcp" }
            ?? environmentVariable("HOME").map { "\($0)/.local/state/lcp" }
        return folder.map { "\($0)/names" }
    }

    static var hostName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, 255) == 0 else { return "" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// A machine's name as part of a topic; without dots, which are levels to RabbitMQ.
    private static func valid(_ host: String) -> String {
        let letters = host.unicodeScalars.filter {
            $0.properties.isAlphabetic || $0.isASCII && "0123456789-_".unicodeScalars.contains($0)
        }
        return letters.isEmpty ? "host" : String(String.UnicodeScalarView(letters)).prefix(64).description
    }

    private static func random(_ count: Int) -> String {
        String((0..<count).map { _ in "abcdefghijkmnpqrstuvwxyz23456789".randomElement()! })
    }

    /// The machine's random part, made at the first start.
    private static func keptPart(_ folder: String) throws(FileError) -> String {
        let file = "\(folder)/part"
        func read() -> String? {
            guard let bytes = try? FileIO.read(file, limit: 64) else { return nil }
            let part = String(decoding: bytes, as: UTF8.self)
            return (1...16).contains(part.count) && part.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) })
                ? part : nil
        }
        if let part = read() { return part }
        // Of two first starts at once one gets there first, with the whole file, and the other reads that.
        try FileIO.makeFolder(folder)
        let (own, part) = ("\(file).\(getpid()).\(random(8))", random(4))
        try FileIO.write(Array(part.utf8), to: own)
        defer { FileIO.remove(own) }
        if link(own, file) != 0, errno != EEXIST { throw .failed("write", file, errno) }
        guard let kept = read() else { throw .failed("read", file, EINVAL) }
        return kept
    }

    // MARK: For a session

    /// Names that were taken and are not yet a session's.
    private static let taken = Mutex<[DefaultName]>([])

    /// Takes a name, which the session of that name then keeps.
    static func reserve(_ role: Role) -> String {
        let name = take(role)
        taken.withLock { $0.append(name) }
        return name.text
    }

    /// The name that was taken for a session, where one was.
    static func claim(_ text: String) -> DefaultName? {
        taken.withLock { taken in
            taken.firstIndex { $0.text == text }.map { taken.remove(at: $0) }
        }
    }
}
