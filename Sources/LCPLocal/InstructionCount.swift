import Glibc
import LCPModels
import LCPWire
import MQTT
import Platform

/// The instructions of a process by what they are for, as callgrind counts them.
public struct InstructionCount: Sendable, Codable, Hashable {
    public enum Cause: String, Sendable, Codable, CodingKeyRepresentable, CaseIterable {
        case libmosquitto
        /// Getting and returning memory.
        case memory
        /// Copying, clearing and comparing bytes.
        case copying
        /// Counting references, casts, strings and arrays.
        case swift
        /// All else in the program.
        case role
        case system
    }

    public private(set) var causes: [Cause: Double] = [:]
    public var total: Double { causes.values.reduce(0, +) }

    /// Reads a profile.
    ///
    /// Source: *Callgrind Format Specification*, Valgrind's manual. Names are written once, and told by their number after that; the
    /// line after `calls=` counts what the callee took, which stands with that, too.
    ///
    /// - Parameter program: the path of what ran.
    init(profile: String, program: String) {
        var names: [Substring: [Substring: Substring]] = [:]
        var (function, object) = (Substring(), Substring())
        var isCall = false
        func name(_ kind: Substring, _ value: Substring) -> Substring {
            guard value.first == "(", let end = value.firstIndex(of: ")") else { return value }
            let (number, rest) = (value[...end], value[value.index(after: end)...].drop { $0 == " " })
            if !rest.isEmpty { names[kind, default: [:]][number] = rest }
            return names[kind]?[number] ?? ""
        }
        for line in profile.split(separator: "\n") {
            if let first = line.utf8.first, (0x30...0x39).contains(first) || [0x2A, 0x2B, 0x2D].contains(first) {
                if !isCall, let cost = line.split(separator: " ").dropFirst().first.flatMap({ Double($0) }) {
                    causes[Self.cause(of: function, in: object, program: program), default: 0] += cost
                }
                isCall = false
            } else if let equals = line.firstIndex(of: "=") {
                let value = line[line.index(after: equals)...]
                switch line[..<equals] {
                case "fn": function = name("fn", value)
                case "cfn": _ = name("fn", value)
                case "ob": object = name("ob", value)
                case "cob": _ = name("ob", value)
                case "calls": isCall = true
                default: break
                }
            }
        }
    }

    private static func cause(of function: Substring, in object: Substring, program: String) -> Cause {
        // One that calls itself is told with its depth.
        let name = function.prefix { $0 != "'" }
        if object.contains("libmosquitto") { return .libmosquitto }
        if name.hasPrefix("$ss") || name.hasPrefix("$sS") || name.contains("swift_") || name.hasPrefix("swift::") {
            return ["swift_slowAlloc", "swift_slowDealloc"].contains(name) ? .memory : .swift
        }
        if ["malloc", "free", "calloc", "realloc"].contains(where: { name.contains($0) }) { return .memory }
        if ["mem", "__mem", "str", "__str"].contains(where: { name.hasPrefix($0) }) { return .copying }
        if object != program { return .system }
        // In a program that libmosquitto is a part of: net__read, mosquitto_publish.
        let parts = name.split(separator: "_", maxSplits: 2, omittingEmptySubsequences: false)
        return parts.first == "mosquitto" || parts.count == 3 && parts[1].isEmpty && !parts[0].isEmpty
            ? .libmosquitto : .role
    }

    /// For each of so many messages, what `self` has more than `other`.
    func beyond(_ other: Self, messages: Int) -> Self {
        var result = self
        for cause in Cause.allCases {
            result.causes[cause] = ((causes[cause] ?? 0) - (other.causes[cause] ?? 0)) / Double(messages)
        }
        return result
    }
}

extension MessageBenchmark {
    /// What each role needs for a message that it receives.
    public struct Instructions: Sendable, Codable {
        public var worker: InstructionCount
        public var aggregator: InstructionCount
        public var baselineWorker: InstructionCount
        public var baselineAggregator: InstructionCount

        enum CodingKeys: String, CodingKey {
            case worker, aggregator
            case baselineWorker = "baseline_worker"
            case baselineAggregator = "baseline_aggregator"
        }
    }

    /// Counts the instructions of a message of a case with one branch: of many frames less those of few, so that starting and ending
    /// count for nothing.
    ///
    /// - Returns: nil where valgrind or strip is not installed.
    /// - Throws: ``PipelineError`` where a process fails.
    public func instructions(_ test: Case) async throws -> Instructions? {
        guard let valgrind = ChildProcess.find("valgrind"), let strip = ChildProcess.find("strip") else { return nil }
        let folder = "/tmp/lcp-bench-instructions-\(getpid())"
        try FileIO.makeFolder(folder)
        defer { ModelBundle.remove(at: folder) }
        // Valgrind 3.19 fails on what Swift 6 writes for debuggers.
        let program = "\(folder)/lcp"
        let stripping = try ChildProcess(executable: strip, arguments: ["--strip-debug", "-o", program, executable])
        while stripping.poll() == nil { try await Task.sleep(for: .milliseconds(20)) }
        guard stripping.poll() == 0 else { throw PipelineError(.processFailed, "strip cannot copy \(executable)") }

        let (few, many) = (200, 1200)
        var counts: [[InstructionCount]] = []
        for frames in [few, many] {
            counts.append(
                try await counted(test, frames: frames, folder: folder, program: program, valgrind: valgrind))
        }
        let costs = zip(counts[1], counts[0]).map { $0.beyond($1, messages: many - few) }
        return Instructions(
            worker: costs[0], aggregator: costs[1], baselineWorker: costs[2], baselineAggregator: costs[3])
    }

    /// - Returns: what lcp's worker and aggregator need from start to end, and then the baseline's.
    private func counted(
        _ test: Case, frames: Int, folder: String, program: String, valgrind: String
    ) async throws -> [InstructionCount] {
        // In the place of %p each process's number.
        let wrapper = [
            valgrind, "--tool=callgrind", "--quiet", "--log-file=/dev/null", "--callgrind-out-file=\(folder)/%p",
        ]
        let processes = try await withSides(test, lcp: program, wrapper: wrapper) { sides, broker in
            for side in sides { _ = try measure(side, test, broker, frames: frames) }
            return sides.map(\.processes)
        }
        // In a profile its whole path stands.
        let resolved = realpath(baseline, nil)
        defer { free(resolved) }
        let bare = resolved.map { String(cString: $0) } ?? baseline
        return try zip(processes, [program, bare]).flatMap { processes, program in
            try processes.map { process in
                let profile = try FileIO.read("\(folder)/\(process)", limit: 64 << 20)
                return InstructionCount(profile: String(decoding: profile, as: UTF8.self), program: program)
            }
        }
    }
}
