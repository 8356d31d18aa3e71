import CLinux
import Foundation
import Glibc
import LCPLocal
import LCPWire
import MQTT
import Platform
import Testing

/// A mosquitto of the test's own on a free port, gone with its last reference.
final class TestBroker: @unchecked Sendable {
    private(set) var broker: BrokerProcess

    init(port: Int = 0) throws {
        broker = try BrokerProcess.start(configuration: BrokerProcess.localConfiguration(), port: port)
    }

    /// Ends the broker, with everything that it keeps, and starts another on the same port.
    func restart() throws {
        let port = try #require(broker.url.split(separator: ":").last.flatMap { Int($0) })
        broker.process.stop()
        broker = try BrokerProcess.start(configuration: BrokerProcess.localConfiguration(), port: port)
    }

    deinit { broker.process.stop() }

    var url: String { broker.url }

    func configuration(_ clientID: String? = nil) throws -> MQTTConfiguration {
        var configuration = MQTTConfiguration(address: try MQTTAddress(url))
        configuration.clientID = clientID
        return configuration
    }

    func connect(_ change: (inout MQTTConfiguration) -> Void = { _ in }) async throws -> MQTTClient {
        var configuration = try configuration()
        change(&configuration)
        let client = try MQTTClient(configuration)
        try await client.connect()
        return client
    }
}

enum Repository {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// The program, built beside the tests.
    static let lcp: String = {
        var folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        for _ in 0..<5 {
            let candidate = folder.appendingPathComponent("lcp").path
            var isFolder: ObjCBool = false
            if FileManager.default.fileExists(atPath: candidate, isDirectory: &isFolder), !isFolder.boolValue {
                return candidate
            }
            folder.deleteLastPathComponent()
        }
        return root.appendingPathComponent(".build/debug/lcp").path
    }()
}

enum Python {
    /// A Python that has some modules: the one that the environment's `LCP_PYTHON` names, Debian's, or the first in the path.
    static func find(with modules: String) async throws -> String? {
        let named = ProcessInfo.processInfo.environment["LCP_PYTHON"]
        for candidate in [named, "/usr/bin/python3", ChildProcess.find("python3")].compactMap(\.self)
        where FileManager.default.isExecutableFile(atPath: candidate) {
            if try await run(candidate, ["-c", "import \(modules)"]).status == 0 { return candidate }
        }
        return nil
    }
}

/// What a program said and how it ended.
struct Outcome: Sendable {
    var status: Int32
    var output: String
    var errors: String
}

/// Runs a program to its end. One that hangs is ended after `limit`, with status 143.
func run(
    _ executable: String, _ arguments: [String], input: [UInt8]? = nil, environment: [String: String] = [:],
    limit: Duration = .seconds(240)
) async throws -> Outcome {
    let program = try Spawned(executable, arguments, environment: environment)
    if let input { try program.input.write(contentsOf: Data(input)) }
    try program.input.close()
    let watchdog = Task {
        try await Task.sleep(for: limit)
        kill(program.identifier, SIGTERM)
    }
    defer { watchdog.cancel() }
    async let output = program.output.text()
    async let errors = program.errors.text()
    let texts = await (output, errors)
    return Outcome(status: await program.wait(), output: texts.0, errors: texts.1)
}

/// A program with pipes, started and waited for without Foundation's Process, which now and then waits for ever where many
/// processes come and go at once.
final class Spawned: Sendable {
    let identifier: pid_t
    let input: FileHandle
    let output: FileHandle
    let errors: FileHandle

    /// - Parameter columns: those of the terminal that standard error goes to; nil for a pipe.
    init(
        _ executable: String, _ arguments: [String], environment: [String: String] = [:], columns: UInt16? = nil
    ) throws {
        func pipe() throws -> (read: Int32, write: Int32) {
            var ends: [Int32] = [-1, -1]
            try #require(Glibc.pipe(&ends) == 0)
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            return (ends[0], ends[1])
        }
        func terminal(_ columns: UInt16) throws -> (read: Int32, write: Int32) {
            var (end, other): (Int32, Int32) = (-1, -1)
            var size = winsize(ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
            try #require(openpty(&end, &other, nil, nil, &size) == 0)
            for end in [end, other] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            return (end, other)
        }
        let (standardInput, standardOutput) = (try pipe(), try pipe())
        let standardError = try columns.map(terminal) ?? pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, standardInput.read, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, standardOutput.write, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, standardError.write, STDERR_FILENO)
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        // The threads that start programs here block most signals, and a program would inherit that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }.map { "\($0.key)=\($0.value)" }
        var words = ([executable] + arguments).map { strdup($0) } + [nil]
        var settings = variables.map { strdup($0) } + [nil]
        defer { for text in words + settings { free(text) } }
        var started: pid_t = 0
        let code = posix_spawn(&started, executable, &actions, &attributes, &words, &settings)
        for end in [standardInput.read, standardOutput.write, standardError.write] { close(end) }
        identifier = started
        input = FileHandle(fileDescriptor: standardInput.write, closeOnDealloc: true)
        output = FileHandle(fileDescriptor: standardOutput.read, closeOnDealloc: true)
        errors = FileHandle(fileDescriptor: standardError.read, closeOnDealloc: true)
        try #require(code == 0, "\(executable): \(String(cString: strerror(code)))")
    }

    /// Waits until it has ended: its status, or 128 and the signal that ended it.
    func wait() async -> Int32 {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { [identifier] in
                var status: Int32 = 0
                while waitpid(identifier, &status, 0) < 0, errno == EINTR {}
                continuation.resume(returning: status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F)
            }
        }
    }

    /// Reads its output until some words have come.
    func waitForOutput(_ words: String) throws { try wait(for: words, in: output) }

    /// Reads its messages on standard error until some words have come.
    @discardableResult func waitForErrors(_ words: String) throws -> String { try wait(for: words, in: errors) }

    @discardableResult private func wait(for words: String, in stream: FileHandle) throws -> String {
        var (said, buffer) = ([UInt8](), [UInt8](repeating: 0, count: 65_536))
        while !String(decoding: said, as: UTF8.self).contains(words) {
            let count = read(stream.fileDescriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            try #require(
                count > 0, "it ended before it said \(words.debugDescription): \(String(decoding: said, as: UTF8.self))"
            )
            said += buffer[..<count]
        }
        return String(decoding: said, as: UTF8.self)
    }
}

extension FileHandle {
    func text() async -> String {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                let data = (try? self.readToEnd()) ?? nil
                continuation.resume(returning: String(decoding: data ?? Data(), as: UTF8.self))
            }
        }
    }
}

/// The next message, or an error after a minute: a test must not hang.
func next(_ messages: MQTTSubscription, within limit: Duration = .seconds(60)) async throws -> MQTTMessage {
    let message = try await withThrowingTaskGroup(of: MQTTMessage?.self) { group in
        group.addTask {
            var iterator = messages.makeAsyncIterator()
            return try await iterator.next()
        }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        defer { group.cancelAll() }
        return try await group.next() ?? nil
    }
    return try #require(message, "no message on \(messages.filter) within \(limit)")
}

/// A pipeline of real processes on one broker.
final class TestPipeline: Sendable {
    let broker: TestBroker
    let client: MQTTClient
    let topics: Topics
    let launcher: RoleLauncher
    /// Where its roles keep models.
    private let cache = NSTemporaryDirectory() + "lcp-cache-\(UUID().uuidString)"
    let roles: [ChildProcess]

    /// Starts workers for `branches` and an aggregator, and waits until they are ready.
    ///
    /// - Parameter url: where a role by its name, `w0` or `a`, finds the broker; for example a proxy before it.
    init(
        branches: [Int] = [0, 1, 2, 3], deadline: Int = 5000, arguments: [String] = [], ofWorkers: [String] = [],
        ofAggregator: [String] = [], broker: TestBroker? = nil, url: @Sendable (String) -> String? = { _ in nil }
    ) async throws {
        let broker = try broker ?? TestBroker()
        self.broker = broker
        client = try await broker.connect()
        topics = try Topics(pipeline: "test")
        let statuses = try await client.subscribe(to: topics.statuses)
        launcher = RoleLauncher(executable: Repository.lcp, url: broker.url, pipeline: "test", cache: cache)
        roles =
            try branches.map { [launcher] in
                try launcher.start(
                    .worker, "w\($0)", ["--branch", "\($0)"] + arguments + ofWorkers, url: url("w\($0)"))
            } + [
                try launcher.start(
                    .aggregator, "a", ["--deadline", "\(deadline)"] + arguments + ofAggregator, url: url("a"))
            ]
        try await RoleLauncher.waitUntilReady(branches.count + 1, statuses)
    }

    deinit {
        for role in roles { role.stop() }
        try? FileManager.default.removeItem(atPath: cache)
    }

    func worker(_ index: Int) -> ChildProcess { roles[index] }

    /// The frames of all sensors, dealt to lanes or not.
    func frames() async throws -> MQTTSubscription {
        let frames = try await client.subscribe(to: topics.inputs)
        try await frames.add(topics.allLaneInputs)
        return frames
    }
}
