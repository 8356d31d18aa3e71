import Glibc

/// The image formats that are read, told apart by their first bytes.
public enum ImageFormat: String, Sendable, Hashable, CaseIterable {
    case jpeg
    case png
    case webp
    case gif
    case bmp

    /// The format of `bytes`, or nil where the signature is nobody's.
    public init?(signatureOf bytes: UnsafeRawBufferPointer) {
        // Most bytes that come are no picture, and most of those differ in the first.
        if bytes.first == 0xFF, bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
            self = .jpeg
        } else if bytes.first == 0x89, bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
            self = .png
        } else if bytes.first == UInt8(ascii: "R"), bytes.count >= 12, bytes.starts(with: "RIFF".utf8),
            bytes[8..<12].elementsEqual("WEBP".utf8)
        {
            self = .webp
        } else if bytes.first == UInt8(ascii: "G"),
            bytes.starts(with: "GIF87a".utf8) || bytes.starts(with: "GIF89a".utf8)
        {
            self = .gif
        } else if bytes.first == UInt8(ascii: "B"), bytes.count >= 26, bytes[1] == UInt8(ascii: "M"),
            // Two letters are no signature: the header's length has to be one that there is, too.
            [12, 40, 52, 56, 108, 124].contains(bytes[14]), bytes[15..<18].allSatisfy({ $0 == 0 })
        {
            self = .bmp
        } else {
            return nil
        }
    }

    /// The format of a picture, also of one that is base64 or a data URL; nil where the bytes are none.
    public init?(of bytes: UnsafeRawBufferPointer) {
        guard let format = ImageFormat(signatureOf: bytes) ?? TextPicture.format(of: bytes) else { return nil }
        self = format
    }

    /// As people write it.
    public var name: String { self == .webp ? "WebP" : rawValue.uppercased() }
    /// What files of it end with.
    public static let endings = [".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"]
    /// What files of pictures end with that are not read: they are named, where others are looked for.
    public static let otherEndings = [
        ".heic", ".heif", ".avif", ".tif", ".tiff", ".jp2", ".jxl", ".svg", ".ico", ".ppm", ".pgm", ".dng", ".cr2",
        ".nef",
        ".arw",
    ]

    /// The name of a format of pictures that is not read, by its first bytes; nil where it is none that is known.
    public static func otherName(of bytes: UnsafeRawBufferPointer) -> String? {
        guard bytes.count >= 12 else { return nil }
        func begins(_ signature: [UInt8], at place: Int = 0) -> Bool {
            bytes[place...].starts(with: signature)
        }
        if begins([0x49, 0x49, 0x2A, 0]) || begins([0x4D, 0x4D, 0, 0x2A]) { return "TIFF or raw" }
        if begins(Array("ftyp".utf8), at: 4) {
            let brand = String(decoding: bytes[8..<12], as: UTF8.self)
            if brand.hasPrefix("avi") { return "AVIF" }
            return brand.hasPrefix("he") || brand.hasPrefix("mi") || brand.hasPrefix("ms") ? "HEIC" : nil
        }
        if begins([0, 0, 0, 0x0C, 0x6A, 0x50, 0x20, 0x20]) { return "JPEG 2000" }
        if begins([0, 0, 0, 0x0C, 0x4A, 0x58, 0x4C, 0x20]) || begins([0xFF, 0x0A]) { return "JPEG XL" }
        if begins(Array("<svg".utf8)) || begins(Array("<?xml".utf8)) { return "SVG" }
        if bytes[0] == UInt8(ascii: "P"), (UInt8(ascii: "1")...UInt8(ascii: "6")).contains(bytes[1]),
            [0x0A, 0x20].contains(bytes[2])
        {
            return "PNM"
        }
        return nil
    }

    /// Why bytes are no picture that is read, as the rest of a sentence that begins with them.
    static func refusal(of bytes: UnsafeRawBufferPointer) -> String {
        if bytes.isEmpty { return "the file is empty" }
        return otherName(of: bytes).map { "it is a \($0) picture, which is not read: save it as JPEG or PNG" }
            ?? "the bytes are neither a JPEG nor a PNG, WebP, GIF or BMP"
    }

    /// The same in a sentence.
    public static let endingWords = endings.dropLast().joined(separator: ", ") + " or " + endings[endings.count - 1]
}

/// What is read of strangers' images.
public struct ImageLimits: Sendable, Hashable {
    /// The most pixels that the header may announce: an image of a few bytes can claim 30,000 × 30,000 of them, and each takes time.
    public var maximumPixels: Int
    /// The most bytes of the compressed image.
    public var maximumBytes: Int
    /// The most bytes that decoding it may take besides those.
    public var maximumMemory: Int

    public init(maximumPixels: Int = 250_000_000, maximumBytes: Int = 32 << 20, maximumMemory: Int = 64 << 20) {
        self.maximumPixels = maximumPixels
        self.maximumBytes = maximumBytes
        self.maximumMemory = maximumMemory
    }
}

/// How large a decoded image has to be.
public enum WantedImageSize: Sendable, Hashable {
    /// As large as the file says.
    case any
    /// Made to fit.
    case fitted(ImageFit)
    /// A file that says anything else is refused before it is decoded.
    case exactly(height: Int, width: Int)
}

/// What an image has been read as, though it was not what it should be.
public struct ImageNotes: OptionSet, Sendable, Hashable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// It has pixels that are not opaque.
    public static let transparent = ImageNotes(rawValue: 1)
    /// It is damaged, though every pixel is there: it has no end, or bytes between its parts.
    public static let odd = ImageNotes(rawValue: 2)

    public static let all: [ImageNotes] = [.transparent, .odd]

    /// What a picture is that has this one note, for people: "transparent, and put on white".
    ///
    /// - Parameter background: what it was put on.
    public func words(background: UInt8) -> String {
        self == .odd
            ? "damaged, though no pixel is missing"
            : "transparent, and put on \(background == 255 ? "white" : "grey \(background)")"
    }
}

extension Image {
    /// Decodes a JPEG, PNG, WebP, GIF (its first frame) or BMP, upright; also one that is base64 or a data URL.
    ///
    /// - Parameters:
    ///   - channels: 1 for grey by Rec. 601, 3 for colour.
    ///   - size: what the result is needed for.
    ///   - background: what shines through where it is transparent, a grey.
    /// - Throws: ``ImageError`` for anything but an image of which every pixel is there, within the limits.
    public init(
        decoding bytes: UnsafeRawBufferPointer, channels: Int, size: WantedImageSize = .any, background: UInt8 = 255,
        limits: ImageLimits = ImageLimits()
    ) throws(ImageError) {
        self = try Self.decode(bytes, channels: channels, size: size, background: background, limits: limits).image
    }

    /// What a picture's header says about its size, upright.
    ///
    /// - Throws: ``ImageError`` where it is none.
    public static func dimensions(
        of bytes: UnsafeRawBufferPointer
    ) throws(ImageError) -> (height: Int, width: Int) {
        guard let format = ImageFormat(signatureOf: bytes) else {
            throw ImageError(ImageFormat.refusal(of: bytes))
        }
        let rows: any PixelRows =
            switch format {
            case .jpeg: try JPEGRows(bytes)
            case .png: try PNGRows(bytes)
            case .webp: try WebPRows(bytes)
            case .gif: try GIFRows(bytes)
            case .bmp: try BMPRows(bytes)
            }
        return Orientation(of: bytes, format).isSideways ? (rows.width, rows.height) : (rows.height, rows.width)
    }

    /// The file that is base64 or a data URL; nil where the bytes are no text with a picture.
    public static func picture(inText bytes: UnsafeRawBufferPointer) -> [UInt8]? {
        TextPicture.format(of: bytes) == nil ? nil : TextPicture.decoded(bytes)
    }

    /// The same, with what was odd about it.
    public static func decode(
        _ bytes: UnsafeRawBufferPointer, channels: Int, size: WantedImageSize = .any, background: UInt8 = 255,
        limits: ImageLimits = ImageLimits()
    ) throws(ImageError) -> (image: Image, notes: ImageNotes) {
        precondition(channels == 1 || channels == 3, "an image has 1 or 3 channels")
        guard bytes.count <= limits.maximumBytes else {
            throw ImageError("the image has \(bytes.count) bytes, more than the \(limits.maximumBytes) that are read")
        }
        let format = ImageFormat(signatureOf: bytes)
        if format == nil, TextPicture.format(of: bytes) != nil, let picture = TextPicture.decoded(bytes) {
            return try picture.withUnsafeBufferPointer { picture throws(ImageError) in
                try decode(
                    UnsafeRawBufferPointer(picture), channels: channels, size: size, background: background,
                    limits: limits)
            }
        }
        let orientation = format.map { Orientation(of: bytes, $0) } ?? .upright
        let job = Job(channels: channels, size: size, background: background, limits: limits, orientation: orientation)
        switch format {
        case .jpeg: return try job.jpeg(bytes)
        case .png: return try job.png(bytes)
        case .webp: return try job.webp(bytes)
        case .gif:
            var rows = try GIFRows(bytes)
            try job.check(height: rows.height, width: rows.width)
            return try job.image(&rows, kept: rows.keptBytes, kind: "GIF")
        case .bmp:
            var rows = try BMPRows(bytes)
            try job.check(height: rows.height, width: rows.width)
            return try job.image(&rows, kept: 0, kind: "BMP")
        case nil: throw ImageError(ImageFormat.refusal(of: bytes))
        }
    }
}

/// The decoding of one image.
private struct Job {
    let channels: Int
    let size: WantedImageSize
    let background: UInt8
    let limits: ImageLimits
    let orientation: Orientation

    /// How many times as many pixels as are needed a JPEG is decoded to on each side: what the inverse DCT leaves out of the rest is
    /// then too little to see (Documentation/inputs.md).
    private static let surplus = 3
    /// The work of a JPEG of several scans, each of which passes over all pixels: as many as encoders make for 24 million.
    private static let maximumPasses = 16 * 24_000_000

    func check(height: Int, width: Int) throws(ImageError) {
        guard width > 0, height > 0 else {
            throw ImageError("the image is damaged or cut short: it says that it has \(width) × \(height) pixels")
        }
        guard width <= limits.maximumPixels / height else {
            throw ImageError(
                "the image has \(width) × \(height) pixels, more than the \(limits.maximumPixels) that are read")
        }
        if case .exactly(let wantedHeight, let wantedWidth) = size {
            let (height, width) = orientation.isSideways ? (width, height) : (height, width)
            guard (height, width) == (wantedHeight, wantedWidth) else {
                throw ImageError(
                    "the image has \(width) × \(height) pixels where \(wantedWidth) × \(wantedHeight) are said",
                    isOtherSize: true)
            }
        }
    }

    private func checkMemory(_ bytes: Int, _ kind: String, height: Int, width: Int) throws(ImageError) {
        guard bytes <= limits.maximumMemory else {
            throw ImageError(
                "a \(kind) of \(width) × \(height) pixels takes \((bytes + 1 << 20 - 1) >> 20) MiB to decode, more than the "
                    + "\(limits.maximumMemory >> 20) that are given")
        }
    }

    func jpeg(_ bytes: UnsafeRawBufferPointer) throws(ImageError) -> (image: Image, notes: ImageNotes) {
        var rows = try JPEGRows(bytes)
        let (height, width) = (rows.height, rows.width)
        try check(height: height, width: width)
        try checkMemory(rows.keptBytes, rows.kind, height: height, width: width)
        // Every scan of a progressive image passes over all of it, though it may have but a few bytes.
        let scans = scanCount(bytes)
        guard scans <= 1 || scans <= Self.maximumPasses / (width * height) else {
            throw ImageError("the JPEG has \(scans) scans of \(width) × \(height) pixels, which is no camera's")
        }
        var needed: (height: Int, width: Int)?
        if case .fitted(let fit) = size {
            let sides = self.sides(fit, height: height, width: width)
            needed = (sides.vertical.scaled * Self.surplus, sides.horizontal.scaled * Self.surplus)
        }
        try rows.start(channels: channels, needed: needed)
        return try image(&rows, kept: rows.keptBytes, kind: "JPEG")
    }

    func webp(_ bytes: UnsafeRawBufferPointer) throws(ImageError) -> (image: Image, notes: ImageNotes) {
        var rows = try WebPRows(bytes)
        try check(height: rows.height, width: rows.width)
        if case .fitted(let fit) = size {
            let sides = self.sides(fit, height: rows.height, width: rows.width)
            rows.reduce(to: (sides.vertical.scaled * Self.surplus, sides.horizontal.scaled * Self.surplus))
        }
        try checkMemory(rows.keptBytes, rows.kind, height: rows.height, width: rows.width)
        try rows.start()
        return try image(&rows, kept: rows.keptBytes, kind: rows.kind)
    }

    func png(_ bytes: UnsafeRawBufferPointer) throws(ImageError) -> (image: Image, notes: ImageNotes) {
        var rows = try PNGRows(bytes)
        try check(height: rows.height, width: rows.width)
        guard Self.pngRowBytes(bytes, rows.width) <= Self.maximumExpansion * bytes.count / rows.height else {
            throw ImageError(
                "the PNG is damaged: \(bytes.count) bytes cannot hold \(rows.width) × \(rows.height) pixels")
        }
        return try image(&rows, kept: rows.keptBytes, kind: "interlaced PNG")
    }

    /// What becomes of the file's rows and columns: those of the image that is looked at may be columns and rows.
    private func sides(_ fit: ImageFit, height: Int, width: Int) -> (vertical: ImageFit.Side, horizontal: ImageFit.Side)
    {
        var sides =
            orientation.isSideways ? fit.sides(height: width, width: height) : fit.sides(height: height, width: width)
        // Where the file begins at the other end, so does what is cut out.
        func turned(_ side: inout ImageFit.Side) {
            side.window = side.scaled - side.window.upperBound..<side.scaled - side.window.lowerBound
        }
        if orientation.isSideways { sides = (sides.horizontal, sides.vertical) }
        if orientation.isFromBottom { turned(&sides.vertical) }
        if orientation.isFromRight { turned(&sides.horizontal) }
        return sides
    }

    /// Reads rows, and makes of them what is wanted.
    func image(
        _ rows: inout some PixelRows, kept: Int, kind: String
    ) throws(ImageError) -> (image: Image, notes: ImageNotes) {
        let (height, width, extent) = (rows.height, rows.width, rows.extent)
        // A row as it is read, as it is wanted, and in floating point.
        let rowBytes = width * (rows.channels + channels + channels * MemoryLayout<Float>.size)
        try checkMemory(kept + rowBytes, kind, height: height, width: width)
        var conversion = RowConversion(from: rows.channels, to: channels, background: background)
        let read = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: width * rows.channels)
        let converted = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: conversion.isNone ? 1 : width * channels)
        defer {
            read.deallocate()
            converted.deallocate()
        }
        func next() throws(ImageError) -> UnsafeBufferPointer<UInt8> {
            try rows.read(read)
            guard !conversion.isNone else { return UnsafeBufferPointer(read) }
            conversion.convert(UnsafeBufferPointer(read), converted, width: width)
            return UnsafeBufferPointer(converted)
        }

        var result: Image
        if case .fitted(let fit) = size {
            let sides = self.sides(fit, height: height, width: width)
            var resampler = Resampler(
                vertical: .init(
                    size: height, extent: extent.height, scaled: sides.vertical.scaled, window: sides.vertical.window),
                horizontal: .init(
                    size: width, extent: extent.width, scaled: sides.horizontal.scaled, window: sides.horizontal.window),
                channels: channels)
            // Also those that count for nothing: where one is missing, the image is damaged.
            for _ in 0..<height { resampler.add(try next()) }
            result = orientation.applied(to: resampler.image()).padded(for: fit)
        } else {
            try checkMemory(kept + height * width * channels, kind, height: height, width: width)
            let size = width * channels
            var failure: ImageError?
            // Rows come where they belong: copies of what was written a moment ago can take as long as decoding it.
            let pixels = [UInt8](unsafeUninitializedCapacity: height * size) { pixels, count in
                do throws(ImageError) {
                    while count < height * size {
                        let row = UnsafeMutableBufferPointer(rebasing: pixels[count..<count + size])
                        try rows.read(conversion.isNone ? row : read)
                        if !conversion.isNone { conversion.convert(UnsafeBufferPointer(read), row, width: width) }
                        count += size
                    }
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            result = orientation.applied(to: Image(height: height, width: width, channels: channels, pixels: pixels))
        }
        var notes: ImageNotes = conversion.isTransparent ? .transparent : []
        if rows.oddity != nil { notes.insert(.odd) }
        return (result, notes)
    }

    /// The marks that begin a scan. No scan's data can hold one; a thumbnail's are counted, too.
    private func scanCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        var (position, count) = (0, 0)
        while position + 1 < bytes.count,
            let mark = memchr(bytes.baseAddress! + position, 0xFF, bytes.count - 1 - position)
        {
            position = UnsafeRawPointer(mark) - bytes.baseAddress! + 1
            if bytes[position] == 0xDA { count += 1 }
        }
        return count
    }

    /// What deflate can make of a byte at most (RFC 1951: 258 bytes in two bits).
    private static let maximumExpansion = 1032

    /// Bytes of an unpacked row, by the depth and the colour type of the header (PNG, third edition, 11.2.1).
    private static func pngRowBytes(_ bytes: UnsafeRawBufferPointer, _ width: Int) -> Int {
        guard bytes.count > 25 else { return 0 }
        let samples = [0: 1, 2: 3, 3: 1, 4: 2, 6: 4][bytes[25]] ?? 1
        return (width * samples * Int(bytes[24]) + 7) / 8
    }
}
