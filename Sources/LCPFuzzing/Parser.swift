import Glibc
public import HostileInputs

/// A parser of bytes that strangers wrote, in the one form that a fuzzer needs.
public struct Parser: Sendable {
    /// What came of an input.
    public enum Outcome: Sendable, Hashable {
        case accepted
        /// Refused, with the parser's sentence; nil where a parser says nothing.
        case refused(String?)
    }

    /// A name that can be a file's.
    public let name: String
    /// Where its format has numbers, checksums and words worth changing.
    public let format: Format
    /// Inputs to begin with: good ones, and those of the hostile-input list.
    public let seeds: @Sendable (Fixtures) -> [[UInt8]]
    private let read: @Sendable ([UInt8]) throws -> Outcome

    /// - Parameter read: reads an input. It throws ``Violation`` where the parser breaks a promise; any other error is a refusal.
    init(
        _ name: String, _ format: Format, seeds: @escaping @Sendable (Fixtures) -> [[UInt8]],
        read: @escaping @Sendable ([UInt8]) throws -> Outcome
    ) {
        self.name = name
        self.format = format
        self.seeds = seeds
        self.read = read
    }

    /// The most bytes of an input that the limits below hold for.
    public static let maximumInput = 1 << 16
    /// Seconds of processor time that one such input may take: generous, for builds with every check on.
    static let maximumSeconds = 5.0
    /// Bytes by which one such input may raise the most memory that the process ever had.
    static let maximumMemory = 256 << 20
    /// UTF-8 bytes of a refusal.
    static let maximumSentence = 1024

    /// Reads one input and checks every promise.
    ///
    /// - Throws: ``Violation``.
    @discardableResult
    public func run(_ bytes: [UInt8]) throws(Violation) -> Outcome {
        let (seconds, memory) = (Self.processorSeconds, Self.peakMemory)
        let outcome: Outcome
        do { outcome = try read(bytes) } catch let error as Violation {
            throw error
        } catch {
            outcome = .refused("\(error)")
        }
        let (spent, grown) = (Self.processorSeconds - seconds, Self.peakMemory - memory)
        guard bytes.count > Self.maximumInput || spent <= Self.maximumSeconds else {
            throw Violation("\(name) computed for \(spent) s on \(bytes.count) bytes")
        }
        guard bytes.count > Self.maximumInput || grown <= Self.maximumMemory else {
            throw Violation("\(name) took \(grown >> 20) MB more for \(bytes.count) bytes")
        }
        if case .refused(let sentence?) = outcome { try check(sentence) }
        return outcome
    }

    private func check(_ sentence: String) throws(Violation) {
        guard !sentence.isEmpty, sentence.utf8.count <= Self.maximumSentence else {
            throw Violation("\(name) refuses in \(sentence.utf8.count) bytes, which is no sentence")
        }
        for scalar in sentence.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator, .surrogate:
                throw Violation("\(name) refuses with the character \(scalar.value): \(sentence.debugDescription)")
            default:
                guard !(0x202A...0x202E).contains(scalar.value), !(0x2066...0x2069).contains(scalar.value) else {
                    throw Violation("\(name) refuses with a change of direction: \(sentence.debugDescription)")
                }
            }
        }
    }

    private static var processorSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    private static var peakMemory: Int {
        var usage = rusage()
        getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
        return usage.ru_maxrss << 10
    }
}

/// A promise that a parser broke.
public struct Violation: Error, Hashable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
