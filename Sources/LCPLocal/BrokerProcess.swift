import Glibc
import LCPModels
import LCPWire
package import Platform

/// A mosquitto as a child process, which ends with this one, also where this one is killed.
public final class BrokerProcess: Sendable {
    package let process: ChildProcess
    /// mosquitto does not read its standard input, so another child does: where that ends, it ends mosquitto.
    private let guardian: ChildProcess
    public let host: String
    public let port: Int

    /// The broker's address as roles take it.
    public var url: String { "mqtt://\(host.contains(":") ? "[\(host)]" : host):\(port)" }

    /// Starts a mosquitto and returns when it takes connections.
    ///
    /// - Parameters:
    ///   - configuration: the text of a mosquitto.conf without listeners; it is handed over in memory.
    ///   - port: 0 for any free one.
    ///   - isQuiet: whether its log is thrown away.
    /// - Throws: ``PipelineError``: no mosquitto, the port is in use.
    public static func start(
        configuration: String, host: String = "127.0.0.1", port: Int = 0, isQuiet: Bool = true
    ) throws -> BrokerProcess {
        guard let executable = ChildProcess.find("mosquitto") else {
            throw PipelineError(
                .processFailed, "there is no mosquitto on this machine: install it with `sudo apt install mosquitto`")
        }
        return try start(executable, configuration: configuration, host: host, port: port, isQuiet: isQuiet)
    }

    /// Starts the mosquitto that has this path.
    package static func start(
        _ executable: String, configuration: String, host: String = "127.0.0.1", port: Int = 0, isQuiet: Bool = true
    ) throws -> BrokerProcess {
        // Between finding a free port and mosquitto's taking it, somebody else may: then try the next.
        var lastError = PipelineError(.processFailed, "mosquitto did not start")
        for _ in 0..<(port == 0 ? 5 : 1) {
            let chosen = port == 0 ? try freePort(host: host) : port
            do {
                try checkPort(host: host, port: chosen)
                return try BrokerProcess(executable, configuration, host: host, port: chosen, isQuiet: isQuiet)
            } catch let error as PipelineError {
                lastError = error
            }
        }
        throw lastError
    }

    /// Starts a mosquitto and waits until it takes connections.
    private init(
        _ executable: String, _ configuration: String, host: String, port: Int, isQuiet: Bool
    ) throws(PipelineError) {
        do {
            // In a file and not in a pipe: mosquitto 2.0.21 takes nothing else. The listener comes first: what is said of one
            // before any, such as max_connections, would be said of another, on port 1883.
            let file = try MemoryFile(
                name: "mosquitto.conf", text: "listener \(port) \(host)\n\(configuration)\n")
            defer { withExtendedLifetime(file) {} }
            process = try ChildProcess(
                executable: executable, arguments: ["-c", "/proc/self/fd/3"], inherited: file.descriptor,
                errorOutput: isQuiet ? .discarded : .inherited)
            guardian = try ChildProcess(
                executable: "/bin/sh", arguments: ["-c", "read -r _; kill $0 2>/dev/null", "\(process.processID)"])
        } catch {
            throw PipelineError(.processFailed, "\(error)")
        }
        self.host = host
        self.port = port
        let deadline = ContinuousClock.now + .seconds(10)
        while !Self.connects(host: host, port: port) {
            if let status = process.poll() {
                throw PipelineError(
                    .processFailed, "mosquitto ended at once with status \(status), on \(host) port \(port)")
            }
            guard ContinuousClock.now < deadline else {
                process.stop()
                throw PipelineError(.timedOut, "mosquitto takes no connections on \(host) port \(port) after 10 s")
            }
            usleep(2000)
        }
    }

    // First the guardian: it must not see its pipe end, and a process that has taken over the number.
    deinit { guardian.stop() }

    /// The text of the configuration for one machine that comes with the program, without its listeners.
    ///
    /// - Parameter folder: where the broker writes what it keeps; nil for nowhere.
    /// - Throws: ``PipelineError`` where it is missing.
    public static func localConfiguration(keptIn folder: String? = nil) throws -> String {
        guard let file = ShippedFiles.path("Brokers/local/mosquitto.conf") else {
            throw PipelineError(
                .processFailed,
                "Brokers/local/mosquitto.conf is missing: it stands beside the program, in ../share/lcp, or in LCP_HOME"
            )
        }
        let text = try configuration(file: file)
        if let folder { return "\(text)\npersistence_location \(folder)/" }
        return text.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0 == "persistence true" ? "persistence false" : $0 }.joined(separator: "\n")
    }

    /// Makes the folder in which the broker of a port keeps what is retained: `$STATE_DIRECTORY/broker-PORT` under systemd, else
    /// `$XDG_STATE_HOME/lcp/broker-PORT`, by default below `~/.local/state`. Started by root, mosquitto becomes another user, who gets
    /// one below /var/lib.
    ///
    /// - Throws: ``PipelineError`` or ``FileError`` where it cannot be made or written.
    public static func makeKeptFolder(port: Int) throws -> String {
        let isRoot = getuid() == 0
        let state =
            environmentVariable("STATE_DIRECTORY") ?? environmentVariable("XDG_STATE_HOME").map { "\($0)/lcp" }
            ?? (isRoot
                ? "/var/lib/lcp" : environmentVariable("HOME").map { "\($0)/.local/state/lcp" } ?? "/var/tmp/lcp")
        let folder = "\(state)/broker-\(port)"
        try FileIO.makeFolder(folder)
        if isRoot, let user = getpwnam("mosquitto") ?? getpwnam("nobody") {
            chown(folder, user.pointee.pw_uid, user.pointee.pw_gid)
        }
        guard access(folder, W_OK) == 0 else {
            throw PipelineError(.resources, "\(folder) cannot be written: \(String(cString: strerror(errno)))")
        }
        return folder
    }

    /// The text of a configuration without its listeners.
    public static func configuration(file: String) throws -> String {
        let text = String(decoding: try FileIO.read(file, limit: 32_768), as: UTF8.self)
        return text.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("listener") }
            .joined(separator: "\n")
    }

    // MARK: Ports

    private static func withAddress<Result>(
        _ host: String, _ port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t, Int32) throws -> Result
    ) throws -> Result {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, "\(port)", &hints, &list) == 0, let found = list, let address = found.pointee.ai_addr
        else {
            throw PipelineError(
                .invalidConfiguration,
                "\(host.debugDescription) is not an address of this machine: write for example 127.0.0.1 or 0.0.0.0")
        }
        defer { freeaddrinfo(list) }
        let descriptor = socket(found.pointee.ai_family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else {
            throw PipelineError(.resources, "cannot make a socket: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        return try body(UnsafePointer(address), found.pointee.ai_addrlen, descriptor)
    }

    package static func freePort(host: String) throws -> Int {
        try withAddress(host, 0) { address, length, descriptor in
            guard bind(descriptor, address, length) == 0 else {
                throw PipelineError(
                    .resources, "cannot find a free port on \(host): \(String(cString: strerror(errno)))")
            }
            var bound = sockaddr_storage()
            var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
            return withUnsafeMutableBytes(of: &bound) { bytes in
                getsockname(descriptor, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, &size)
                // The port lies at the same place for IPv4 and IPv6.
                return Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
            }
        }
    }

    private static func checkPort(host: String, port: Int) throws {
        try withAddress(host, port) { address, length, descriptor in
            var one: Int32 = 1
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
            guard bind(descriptor, address, length) != 0 else { return }
            switch errno {
            case EADDRINUSE:
                throw PipelineError(
                    .invalidConfiguration,
                    "port \(port) on \(host) is in use: another broker may be running, mosquitto.service for example: use that one, stop it (sudo systemctl disable --now mosquitto), or choose another port with --port"
                )
            case EACCES:
                throw PipelineError(
                    .invalidConfiguration, "port \(port) needs more rights: choose one above 1023 with --port")
            case EADDRNOTAVAIL: throw PipelineError(.invalidConfiguration, "\(host) is not an address of this machine")
            default:
                throw PipelineError(
                    .processFailed, "cannot listen on \(host) port \(port): \(String(cString: strerror(errno)))")
            }
        }
    }

    private static func connects(host: String, port: Int) -> Bool {
        // To every address means also to this machine's own.
        let target = host == "0.0.0.0" ? "127.0.0.1" : host == "::" ? "::1" : host
        return (try? withAddress(target, port) { connect($2, $0, $1) == 0 }) ?? false
    }
}
