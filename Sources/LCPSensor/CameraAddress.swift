import Images
public import LCPWire
import Platform

/// A part of a camera's picture, pixels from its upper left corner.
public struct CameraRegion: Sendable, Hashable {
    public let x: Int
    public let y: Int
    public let width: Int
    public let height: Int

    /// - Parameter text: `X,Y,WIDTH,HEIGHT`.
    /// - Throws: ``PipelineError`` where it is something else.
    public init(_ text: String) throws(PipelineError) {
        let numbers = text.split(separator: ",", omittingEmptySubsequences: false).compactMap { Int($0) }
        let range = 0...65_535
        guard numbers.count == 4, text.count(where: { $0 == "," }) == 3, numbers.allSatisfy(range.contains),
            numbers[2] > 0,
            numbers[3] > 0
        else {
            throw PipelineError(
                .invalidConfiguration,
                "\(text.debugDescription) is no region of a picture: write X,Y,WIDTH,HEIGHT in pixels, for example 100,0,640,480"
            )
        }
        (x, y, width, height) = (numbers[0], numbers[1], numbers[2], numbers[3])
    }

    var filter: String { "crop=\(width):\(height):\(x):\(y)" }
}

/// Where a camera's pictures are, and how ffmpeg gets them: pure.
public struct CameraAddress: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        /// `rtsp://` or `rtsps://`.
        case stream
        /// `http://` or `https://`: a stream of pictures, or one picture that is fetched again and again.
        case web
        /// A device of Video4Linux.
        case device
        /// A Raspberry Pi's camera module, by rpicam-vid.
        case module
        /// A video's file, once from its beginning to its end.
        case file
    }

    public let kind: Kind
    /// What ffmpeg opens; of a camera module its number.
    let location: String

    /// Whether pictures come by themselves: then nobody wants an old one.
    public var isLive: Bool { kind != .file }

    /// - Parameter text: as it is written for a source, see ``FrameSource/forms``; nil for anything else.
    public init?(_ text: String) {
        let lower = text.lowercased()
        if ["rtsp://", "rtsps://"].contains(where: lower.hasPrefix) {
            (kind, location) = (.stream, text)
        } else if ["http://", "https://"].contains(where: lower.hasPrefix) {
            (kind, location) = (.web, text)
        } else if text.hasPrefix("v4l2:") {
            (kind, location) = (.device, String(text.dropFirst(5)))
        } else if text == "rpicam" {
            (kind, location) = (.module, "0")
        } else if text.hasPrefix("rpicam:"), let number = UInt8(text.dropFirst(7)) {
            (kind, location) = (.module, "\(number)")
        } else if text.hasPrefix("file:") {
            (kind, location) = (.file, String(text.dropFirst(5)))
        } else {
            return nil
        }
        guard !location.isEmpty, !location.utf8.contains(0) else { return nil }
    }

    /// For people: of an address in a network the scheme and the host alone, because a password may stand before the host, in the path
    /// and in the query, also where it breaks the rules of addresses.
    public var printable: String {
        guard let parts else { return kind == .module ? "rpicam:\(location)" : location.printable }
        let rest = parts.host.endIndex < location.endIndex ? "/…" : ""
        return "\(parts.scheme)\(parts.host)\(rest)".printable
    }

    /// Takes everything but the host out of what somebody says of this camera.
    func hide(_ text: String) -> String {
        guard let parts else { return text }
        var result = text.replacing(location, with: printable)
        let others = location[parts.scheme.endIndex..<parts.host.startIndex] + " " + location[parts.host.endIndex...]
        let words = Set(others.split { "/:@?#&=; ".contains($0) }.filter { $0.count > 2 && !parts.host.contains($0) })
        for word in words.sorted(by: { $0.count > $1.count }) { result = result.replacing(word, with: "…") }
        return result
    }

    /// The scheme with its slashes, and the host with its port: behind the last @ that may belong to a password.
    private var parts: (scheme: Substring, host: Substring)? {
        guard kind == .stream || kind == .web, let start = location.firstRange(of: "://")?.upperBound else {
            return nil
        }
        let rest = location[start...]
        // An @ in the path of a camera is rare; half a password in a log is worse than a part of a path for a host.
        let host = rest.lastIndex(of: "@").map { rest[$0...].dropFirst() } ?? rest
        return (location[..<start], host.prefix { !"/?#".contains($0) })
    }

    /// Whether the address looks like one picture, and not like a stream.
    var looksLikeOnePicture: Bool {
        guard kind == .web else { return false }
        let path = location.prefix { !"?#".contains($0) }.lowercased()
        return [".jpg", ".jpeg", ".png", ".webp"].contains(where: path.hasSuffix)
    }

    /// ffmpeg's arguments that write raw frames of a size to standard output.
    ///
    /// - Parameters:
    ///   - rate: frames a second at the most; fewer where the camera has fewer.
    ///   - region: the part of the picture that becomes the frame; nil for all of it.
    ///   - isOnePicture: whether the address is fetched again for every frame.
    func arguments(
        _ size: ImageSize, rate: Double, region: CameraRegion? = nil, isOnePicture: Bool
    ) -> [String] {
        let input: [String] =
            switch kind {
            case .stream: ["-fflags", "nobuffer", "-rtsp_transport", "tcp", "-i", location]
            // A JPEG of which rows are missing is left out; a video that lost a packet is not.
            case .web where isOnePicture:
                [
                    "-err_detect", "explode", "-f", "image2", "-loop", "1", "-framerate", "\(rate)", "-re", "-i",
                    location,
                ]
            // JPEGs one behind the other carry no times: without those of their arrival ffmpeg takes them for 25 a second.
            case .web:
                ["-err_detect", "explode", "-fflags", "nobuffer", "-use_wallclock_as_timestamps", "1", "-i", location]
            case .device: ["-fflags", "nobuffer", "-f", "v4l2", "-i", location]
            case .module:
                ["-fflags", "nobuffer", "-use_wallclock_as_timestamps", "1", "-f", "mjpeg", "-i", "pipe:0"]
            // A name that looks like an option or another protocol stays a file's name.
            case .file: ["-i", "file:\(location)"]
            }
        // Nine tenths of the interval, because cameras are not quite regular.
        let thin = isOnePicture ? [] : ["select='isnan(prev_selected_t)+gte(t-prev_selected_t,\(0.9 / rate))'"]
        let filters =
            thin + [region?.filter].compactMap(\.self) + Self.filters(size) + [
                "format=\(size.channels == 1 ? "gray" : "rgb24")"
            ]
        return ["-nostdin", "-hide_banner", "-loglevel", "error"] + input
            + ["-an", "-sn", "-dn", "-vsync", "passthrough", "-vf", filters.joined(separator: ",")]
            + ["-f", "rawvideo", "pipe:1"]
    }

    /// rpicam-vid's arguments that write JPEGs to standard output: ``moduleWidth`` × ``moduleHeight`` for small models, and for larger
    /// ones so many times that, so that nothing is made larger.
    ///
    /// - Parameter rate: frames a second at the most. A module does not go below one; ffmpeg leaves out what is too much.
    func moduleArguments(_ size: ImageSize, rate: Double) -> [String] {
        let times = max(1, (max(size.height, size.width) + Self.moduleHeight - 1) / Self.moduleHeight)
        return ["--camera", location, "--codec", "mjpeg", "--nopreview", "--timeout", "0", "--verbose", "0"]
            + ["--width", "\(Self.moduleWidth * times)", "--height", "\(Self.moduleHeight * times)"]
            + ["--framerate", "\(min(max(rate, 1), 30))", "--output", "-"]
    }

    static let moduleWidth = 640
    static let moduleHeight = 480

    /// As ``Images/ImageFit`` does it, with the antialiasing of ffmpeg.
    private static func filters(_ size: ImageSize) -> [String] {
        let (width, height) = (size.width, size.height)
        switch size.mode {
        case .stretch: return ["scale=\(width):\(height):flags=bilinear"]
        case .crop(let shorter):
            let scaled =
                "scale='if(gt(iw,ih),-2,\(shorter))':'if(gt(iw,ih),\(shorter),-2)':flags=bilinear"
            return [scaled, "crop=\(width):\(height)"]
        case .letterbox(let grey):
            let hex = String(grey, radix: 16)
            let pair = hex.count == 1 ? "0\(hex)" : hex
            return [
                "scale=\(width):\(height):force_original_aspect_ratio=decrease:flags=bilinear",
                "pad=\(width):\(height):(ow-iw)/2:(oh-ih)/2:color=0x\(pair)\(pair)\(pair)",
            ]
        }
    }
}
