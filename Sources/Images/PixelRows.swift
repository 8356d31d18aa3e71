/// A picture's pixels as they stand in the file, row by row from the top.
protocol PixelRows {
    var height: Int { get }
    var width: Int { get }
    /// 1 is grey, 2 grey and opacity, 3 red, green, blue, 4 these and opacity.
    var channels: Int { get }
    /// What the file's pixels stand for: a reduced image is rounded up.
    var extent: (height: Double, width: Double) { get }

    /// Puts the next row, width × channels bytes, into `row`.
    mutating func read(_ row: UnsafeMutableBufferPointer<UInt8>) throws(ImageError)
    /// What was odd about the file, after the last row.
    var oddity: String? { get }
}

extension PixelRows {
    var extent: (height: Double, width: Double) { (Double(height), Double(width)) }
    var oddity: String? { nil }
}

/// What is made of a row of a file: the wanted channels, on a background where there is transparency.
struct RowConversion {
    let from: Int
    let to: Int
    let background: UInt8
    /// Whether a pixel was seen that is not opaque.
    private(set) var isTransparent = false

    init(from: Int, to: Int, background: UInt8) {
        (self.from, self.to, self.background) = (from, to, background)
    }

    /// Whether rows stay as they are.
    var isNone: Bool { from == to }

    mutating func convert(_ row: UnsafeBufferPointer<UInt8>, _ target: UnsafeMutableBufferPointer<UInt8>, width: Int) {
        let hasOpacity = from == 2 || from == 4
        for pixel in 0..<width {
            let place = pixel * from
            var opacity: UInt32 = 255
            if hasOpacity { opacity = UInt32(row[place + from - 1]) }
            if opacity < 255 { isTransparent = true }
            func value(_ channel: Int) -> UInt8 {
                let value = UInt32(row[place + channel])
                return opacity == 255
                    ? UInt8(value) : UInt8((value * opacity + UInt32(background) * (255 - opacity) + 127) / 255)
            }
            let (red, green, blue) = from >= 3 ? (value(0), value(1), value(2)) : (value(0), value(0), value(0))
            if to == 1 {
                target[pixel] = from >= 3 ? Image.luma(red, green, blue) : red
            } else {
                (target[3 * pixel], target[3 * pixel + 1], target[3 * pixel + 2]) = (red, green, blue)
            }
        }
    }
}
