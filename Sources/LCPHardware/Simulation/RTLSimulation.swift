import Glibc
import Platform

/// The array as Verilator simulates its register-transfer code: a process of `Hardware/build`.
public final class RTLSimulation {
    /// What a run was like.
    public struct Run: Sendable, Hashable {
        public let output: [Float]
        public let clocks: Int
        /// Numbers that were beyond what a word holds.
        public let clipped: Int
    }

    public let shape: ArrayShape
    private let program: String
    private let process: ChildProcess
    private let connection: Connection
    private var branch: HardwareBranch?
    /// How long the branch may take.
    private var limit: Duration
    var processID: Int32 { process.processID }

    /// Starts the program.
    ///
    /// - Parameter patience: how long it may be silent where it has nothing to compute.
    /// - Throws: ``HardwareError`` where it is missing or is something else.
    public init(program: String, patience: Duration = .seconds(20)) throws {
        (self.patience, limit) = (patience, patience)
        var status = stat()
        guard stat(program, &status) == 0 else {
            throw HardwareError("there is no simulation of the array at \(program): make -C Hardware simulation")
        }
        guard status.st_mode & S_IFMT == S_IFREG, access(program, X_OK) == 0 else {
            throw HardwareError(
                "\(program) is no program, and so no simulation of the array: make -C Hardware simulation makes one")
        }
        self.program = program
        // No pipe: writing to one whose reader is gone ends a process.
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
            throw HardwareError("cannot make a socket for \(program): \(String(cString: strerror(errno)))")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        connection = Connection(descriptor: ends[0])
        do {
            // Only the child holds its end: what it writes ends with it.
            defer { close(ends[1]) }
            process = try ChildProcess(
                executable: program, arguments: [], input: ends[1], output: .descriptor(ends[1]))
        }
        // So that somebody is asked now and then whether to go on waiting.
        var interval = timeval(tv_sec: 0, tv_usec: 100_000)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(ends[0], SOL_SOCKET, option, &interval, socklen_t(MemoryLayout<timeval>.size))
        }
        guard let hello = try? Self.read(ends[0], 32, of: program, within: .seconds(5)) else {
            throw HardwareError("\(program) is no simulation of the array: make -C Hardware simulation makes one")
        }
        let numbers = (1..<8).map { Self.number(hello, $0) }
        guard hello.prefix(4).elementsEqual("LCPH".utf8), numbers[0] == 1 else {
            throw HardwareError("\(program) is no simulation of the array of this version")
        }
        shape = try ArrayShape(
            rows: numbers[1], columns: numbers[2], word: numbers[3] == 8 ? .int8 : .q3_13, entries: numbers[4],
            lines: numbers[5], together: numbers[6])
    }

    /// How long something that is no work may take.
    private let patience: Duration
    /// For so many clocks it may take as long again: a simulation on a busy machine makes more than a hundred in a second.
    private static let clocks = 2000.0

    /// What closes itself, also where the program is none.
    private struct Connection: ~Copyable {
        let descriptor: Int32
        deinit { close(descriptor) }
    }

    deinit { process.stop() }

    /// Gives the array a branch.
    public func load(_ branch: HardwareBranch) throws {
        let program = branch.program
        guard program.shape == shape else { throw HardwareError("the branch was compiled for another array") }
        try write([1, program.mapLines])
        try write([3, 0, program.weightLines], program.weights)
        try give(program.commands[...])
        self.branch = branch
        limit = patience * (1 + Double(program.clocks()) / Self.clocks)
    }

    /// Computes the branch's output.
    ///
    /// - Parameters:
    ///   - numbers: of the input, HWC.
    ///   - seed: makes the memories slow at random where it is not 0.
    public func run(_ numbers: [Int], seed: UInt32 = 0) throws -> Run {
        guard let branch else { throw HardwareError("the array has no branch to run") }
        let program = branch.program
        let answer = try start(program, program.lay(numbers), seed)
        return Run(
            output: branch.output(try words(of: program.outputMap)),
            clocks: Self.number(answer, 0) | Self.number(answer, 1) << 32,
            clipped: Self.number(answer, 2))
    }

    /// The first number in which the simulated array and the plain machine differ, layer by layer; nil where none does.
    public func firstDifference(_ numbers: [Int], seed: UInt32 = 0) throws -> String? {
        guard let branch else { throw HardwareError("the array has no branch to run") }
        let program = branch.program
        var machine = ArrayMachine(program)
        let lines = program.lay(numbers)
        machine.put(lines)
        defer { try? load(branch) }
        for work in program.work {
            for command in program.commands[work.commands] { machine.run(command) }
            try write([1, program.mapLines])
            try give(program.commands[..<work.commands.upperBound])
            _ = try start(program, lines, seed)
            let map = work.map
            let (found, expected) = (try words(of: map), machine.words(map))
            for row in 0..<map.height {
                for column in 0..<map.width {
                    for (channel, place) in map.places.enumerated() {
                        let word = row * map.rowLines * shape.rows + column * map.pixel + place
                        if found[word] != expected[word] {
                            return
                                "\(work.name): row \(row), column \(column), channel \(channel) is \(found[word]), not \(expected[word])"
                        }
                    }
                }
            }
        }
        return nil
    }

    private func give(_ commands: ArraySlice<ArrayCommand>) throws {
        var words: [Int] = []
        for command in commands { words += try command.words().map(Int.init) }
        try write([4, words.count] + words)
    }

    /// Runs the commands on an input's lines.
    ///
    /// - Returns: what the program tells of the run.
    private func start(_ program: ArrayProgram, _ lines: [Int], _ seed: UInt32) throws -> [UInt8] {
        try write([2, program.inputMap.line, lines.count / shape.rows], bytes(lines))
        try write([5, Int(seed)])
        let answer = try read(16, within: limit)
        guard Self.number(answer, 3) == 1 else {
            throw HardwareError("the array that \(self.program) simulates stands still")
        }
        return answer
    }

    private func words(of map: ArrayMap) throws -> [Int] {
        try write([6, map.line, map.lineCount])
        return words(try read(map.lineCount * shape.rows * shape.wordBytes))
    }

    private func bytes(_ words: [Int]) -> [UInt8] {
        if shape.word == .int8 { return words.map { UInt8(truncatingIfNeeded: $0) } }
        return words.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
    }

    private func words(_ bytes: [UInt8]) -> [Int] {
        if shape.word == .int8 { return bytes.map { Int(Int8(bitPattern: $0)) } }
        return stride(from: 0, to: bytes.count, by: 2).map {
            Int(Int16(bitPattern: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8))
        }
    }

    private static func number(_ bytes: [UInt8], _ index: Int) -> Int {
        (0..<4).reduce(0) { $0 | Int(bytes[4 * index + $1]) << (8 * $1) }
    }

    private func write(_ numbers: [Int], _ bytes: [UInt8] = []) throws {
        let head = numbers.flatMap { number in (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }
        for part in [head, bytes] {
            try Self.transfer(part.count, of: program, within: patience) { done in
                part.withUnsafeBytes {
                    send(connection.descriptor, $0.baseAddress! + done, part.count - done, Int32(MSG_NOSIGNAL))
                }
            }
        }
    }

    private func read(_ count: Int, within limit: Duration? = nil) throws -> [UInt8] {
        try Self.read(connection.descriptor, count, of: program, within: limit ?? patience)
    }

    private static func read(
        _ descriptor: Int32, _ count: Int, of program: String, within limit: Duration
    ) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try transfer(count, of: program, within: limit) { done in
            bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress! + done, count - done) }
        }
        return bytes
    }

    /// Moves bytes until all are through.
    ///
    /// - Parameters:
    ///   - limit: how long none may come or go.
    ///   - move: moves some behind those that are done: how many, or −1 and errno.
    private static func transfer(
        _ count: Int, of program: String, within limit: Duration, _ move: (Int) -> Int
    ) throws {
        var done = 0
        var latest = ContinuousClock.now
        while done < count {
            let moved = move(done)
            if moved > 0 {
                done += moved
                latest = .now
                continue
            }
            guard moved < 0, [EINTR, EAGAIN].contains(errno) else {
                throw HardwareError("the simulation \(program) has ended by itself")
            }
            try Task.checkCancellation()
            guard ContinuousClock.now - latest < limit else {
                throw HardwareError(
                    "the simulation \(program) has not answered for \(limit.components.seconds) s: it hangs")
            }
        }
    }
}
