import Glibc
import Images
import LCPPipeline
import LCPWire
import Platform

/// A camera, read by the system's ffmpeg, a Raspberry Pi's module by rpicam-vid before it: what comes is scaled there to what the model takes. One that goes is tried again, with
/// waits that double up to half a minute; where several pictures are there, the newest is taken, and the others never wait.
final class Camera {
    /// ffmpeg, while it runs.
    private struct Run {
        let process: ChildProcess
        /// rpicam-vid, which it reads, of a camera module.
        let module: ChildProcess?
        let output: Int32
        let errors: Int32
        let size: ImageSize
        var lastPicture: ContinuousClock.Instant
        var pictures = 0
        /// Of a picture that has not come whole.
        var bytes: [UInt8] = []
        var said: [UInt8] = []
    }

    let address: CameraAddress
    private let executable: String
    private let moduleExecutable: String?
    private let rate: Double
    private let region: CameraRegion?
    private let log: Log
    private var run: Run?
    /// What is read goes through it: it is looked for pictures two hundred times a second.
    private var chunk = [UInt8](repeating: 0, count: 65_536)
    private var isOnePicture: Bool
    private var delay = firstDelay
    private var nextStart = ContinuousClock.now
    /// Whether people were told that it is gone.
    private var isGone = false
    private var hasBeen = false
    private var isOver = false
    /// Pictures that were left out because they were damaged.
    private(set) var damaged = Drops()

    /// A camera that sends nothing for so long is asked anew.
    static let patience = Duration.seconds(15)
    private static let firstDelay = Duration.seconds(1)
    private static let longestDelay = Duration.seconds(30)
    private static let pollInterval = Duration.milliseconds(5)

    /// - Parameter rate: frames a second at the most.
    /// - Throws: ``PipelineError`` where there is no ffmpeg, and for a camera module no rpicam-vid.
    init(
        _ address: CameraAddress, rate: Double, region: CameraRegion? = nil, log: Log,
        executable: String? = ChildProcess.find("ffmpeg"),
        moduleExecutable: String? = ChildProcess.find("rpicam-vid")
    ) throws(PipelineError) {
        guard address.kind != .module || moduleExecutable != nil else {
            throw PipelineError(
                .processFailed,
                "there is no rpicam-vid on this machine, which reads a Raspberry Pi's camera module: on Raspberry Pi OS, install it with `sudo apt install rpicam-apps-lite ffmpeg`"
            )
        }
        guard let executable else {
            throw PipelineError(
                .processFailed,
                "there is no ffmpeg on this machine, which reads cameras and videos: install it with `sudo apt install ffmpeg`"
            )
        }
        self.address = address
        self.moduleExecutable = address.kind == .module ? moduleExecutable : nil
        self.executable = executable
        self.rate = rate
        self.region = region
        self.log = log
        isOnePicture = address.looksLikeOnePicture
    }

    deinit { end() }

    /// The next picture as raw pixels, HWC; nil where a file is over.
    ///
    /// - Parameter size: asked before every picture: a model that comes may want another one.
    /// - Throws: ``PipelineError`` where a file cannot be read, `CancellationError`.
    func next(
        isolation: isolated (any Actor)? = #isolation, size: () -> ImageSize
    ) async throws -> (pixels: [UInt8], size: ImageSize)? {
        while !isOver {
            try Task.checkCancellation()
            let size = size()
            if let current = run, current.size != size { end() }
            if run == nil, ContinuousClock.now >= nextStart { try start(size) }
            if let pixels = try read() { return (pixels, size) }
            try await ContinuousClock().sleep(for: Self.pollInterval)
        }
        return nil
    }

    private func start(_ size: ImageSize) throws {
        func pipe() throws(PipelineError) -> (read: Int32, write: Int32) {
            var ends: [Int32] = [-1, -1]
            guard Glibc.pipe(&ends) == 0 else { throw PipelineError(.resources, "cannot make a pipe") }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            return (ends[0], ends[1])
        }
        let output = try pipe()
        let errors = try pipe()
        defer {
            close(output.write)
            close(errors.write)
        }
        for end in [output.read, errors.read] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        var module: ChildProcess?
        var pictures: Int32 = -1
        defer { if pictures >= 0 { close(pictures) } }
        if let moduleExecutable {
            let between = try pipe()
            pictures = between.read
            defer { close(between.write) }
            module = try ChildProcess(
                executable: moduleExecutable, arguments: address.moduleArguments(size, rate: rate),
                output: .descriptor(between.write), errorOutput: .descriptor(errors.write))
        }
        // Where a module is gone, rpicam-vid says why, and ffmpeg only that nothing came.
        let process = try ChildProcess(
            executable: executable,
            arguments: address.arguments(size, rate: rate, region: region, isOnePicture: isOnePicture),
            input: pictures, output: .descriptor(output.write),
            errorOutput: module == nil ? .descriptor(errors.write) : .discarded)
        run = Run(
            process: process, module: module, output: output.read, errors: errors.read, size: size, lastPicture: .now)
    }

    /// Ends ffmpeg, and rpicam-vid after it.
    private func end() {
        guard let run else { return }
        // It may be waiting for a camera that says nothing.
        kill(run.process.processID, SIGKILL)
        run.process.stop()
        run.module?.stop()
        close(run.output)
        close(run.errors)
        self.run = nil
    }

    /// The newest picture that has come, or of a file the next; nil where there is none yet.
    private func read() throws -> [UInt8]? {
        guard var run else { return nil }
        let count = run.size.byteCount
        var isEnded = false
        // Of a file no more than one picture, so that the rest waits there.
        while address.isLive || run.bytes.count < count {
            let wanted = address.isLive ? chunk.count : min(chunk.count, count - run.bytes.count)
            let got = Glibc.read(run.output, &chunk, wanted)
            if got < 0, errno == EINTR { continue }
            guard got > 0 else {
                isEnded = got == 0
                break
            }
            run.bytes += chunk[..<got]
            let whole = run.bytes.count / count
            if whole > 1 { run.bytes.removeFirst((whole - 1) * count) }
        }
        let got = Glibc.read(run.errors, &chunk, 4096)
        if got > 0 {
            run.said = Array((run.said + chunk[..<got]).suffix(4096))
            if String(decoding: chunk[..<got], as: UTF8.self).contains("Invalid data found"),
                let line = damaged.add(
                    "damaged_picture", "left out a picture of the camera \(address.printable) that is damaged")
            {
                log.warning(line)
            }
        }
        var picture: [UInt8]?
        if run.bytes.count >= count {
            picture = Array(run.bytes[..<count])
            run.bytes.removeFirst(count)
            run.pictures += 1
            run.lastPicture = .now
        }
        self.run = run
        if picture != nil {
            if isGone { log("the camera \(address.printable) is back") }
            (isGone, hasBeen, delay) = (false, true, Self.firstDelay)
        }
        if isEnded {
            try ended(run)
        } else if address.isLive, ContinuousClock.now - run.lastPicture > Self.patience {
            end()
            gone("no picture came for \(Self.patience)")
        }
        return picture
    }

    /// ffmpeg has nothing more.
    private func ended(_ run: Run) throws {
        var status: Int32?
        let limit = ContinuousClock.now + .seconds(1)
        while status == nil, ContinuousClock.now < limit {
            status = run.process.poll()
            if status == nil { usleep(1000) }
        }
        end()
        let reason = Self.reason(run.said, address) ?? "ffmpeg ended with status \(status ?? -1)"
        guard address.isLive else {
            guard status == 0, run.pictures > 0 else {
                throw PipelineError(.unreadableInput, "cannot read \(address.printable): \(reason)")
            }
            isOver = true
            return
        }
        if address.kind == .web, !isOnePicture, status == 0, run.pictures <= 1 {
            // One picture and no stream: from now on it is fetched for every frame.
            isOnePicture = true
            nextStart = .now
            return
        }
        if run.module != nil {
            gone(Self.moduleReason(run.said))
        } else {
            gone(status == 0 ? "the stream ended" : reason)
        }
    }

    private func gone(_ reason: String) {
        if !isGone {
            log.warning(
                hasBeen
                    ? "the camera \(address.printable) is gone: \(reason); trying again until it is back"
                    : "cannot read the camera \(address.printable): \(reason); trying again until it is there")
        }
        isGone = true
        nextStart = .now + delay
        delay = min(delay * 2, Self.longestDelay)
    }

    /// The last error that rpicam-vid told among much else.
    static func moduleReason(_ said: [UInt8]) -> String {
        let lines = String(decoding: said, as: UTF8.self).split(whereSeparator: \.isNewline)
        guard let line = lines.last(where: { $0.contains("ERROR") }) else { return "rpicam-vid ended" }
        return "rpicam-vid says: \(String(line).printable)"
    }

    /// What ffmpeg said last, without what it put before, and without passwords.
    static func reason(_ said: [UInt8], _ address: CameraAddress) -> String? {
        guard let line = String(decoding: said, as: UTF8.self).split(whereSeparator: \.isNewline).last else {
            return nil
        }
        let text = address.hide(String(line))
        let prefix = "\(address.hide(address.location)): "
        return (text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text).printable
    }
}
