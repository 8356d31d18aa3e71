/// A window that slides over a feature map, and what is around the map.
public struct Window: Sendable, Hashable {
    public var height: Int
    public var width: Int
    public var strideDown: Int
    public var strideAcross: Int
    /// Rows and columns around the map: zeros for a convolution, nothing for a maximum.
    public var top: Int
    public var bottom: Int
    public var left: Int
    public var right: Int
    /// From one place of the window to the next, 1 where they lie side by side.
    public var dilationDown: Int
    public var dilationAcross: Int
    /// Whether what does not fill a window at the end gets one, too, as long as it begins on the map (`ceil_mode`).
    public var roundsUp: Bool

    public init(
        height: Int, width: Int, strideDown: Int = 1, strideAcross: Int = 1, top: Int = 0, bottom: Int = 0,
        left: Int = 0, right: Int = 0, dilationDown: Int = 1, dilationAcross: Int = 1, roundsUp: Bool = false
    ) {
        (self.height, self.width, self.strideDown, self.strideAcross) = (height, width, strideDown, strideAcross)
        (self.top, self.bottom, self.left, self.right) = (top, bottom, left, right)
        (self.dilationDown, self.dilationAcross, self.roundsUp) = (dilationDown, dilationAcross, roundsUp)
    }

    /// A square window with the same padding on all sides.
    public init(size: Int, stride: Int = 1, padding: Int = 0) {
        self.init(
            height: size, width: size, strideDown: stride, strideAcross: stride, top: padding, bottom: padding,
            left: padding, right: padding)
    }

    /// The size, stride and padding of a square window with the same padding on all sides, and nothing else; nil for every other.
    public var square: (size: Int, stride: Int, padding: Int)? {
        self == Window(size: height, stride: strideDown, padding: top) ? (height, strideDown, top) : nil
    }

    /// The numbers of a channel that it looks at.
    public var taps: Int { height * width }
    public var hasPadding: Bool { top + bottom + left + right > 0 }
    public var isDilated: Bool { dilationDown > 1 || dilationAcross > 1 }
    /// The rows and columns from its first place to its last.
    public var reach: (down: Int, across: Int) {
        ((height - 1) * dilationDown + 1, (width - 1) * dilationAcross + 1)
    }

    /// Whether its numbers are those of a window at all.
    private var isPossible: Bool {
        [height, width, strideDown, strideAcross, dilationDown, dilationAcross].allSatisfy { (1...1024).contains($0) }
            && [top, bottom].allSatisfy { (0..<reach.down).contains($0) }
            && [left, right].allSatisfy { (0..<reach.across).contains($0) }
    }

    /// How many places it has on a map, down and across; nil where it does not fit.
    package func places(on map: FeatureMapShape) -> (down: Int, across: Int)? {
        guard isPossible else { return nil }
        func count(_ size: Int, _ before: Int, _ behind: Int, _ reach: Int, _ stride: Int) -> Int? {
            let room = size + before + behind - reach
            guard room >= 0 else { return nil }
            var count = (room + (roundsUp ? stride - 1 : 0)) / stride + 1
            // As PyTorch has it: no window begins in what is behind the map.
            if roundsUp, (count - 1) * stride >= size + before { count -= 1 }
            return count
        }
        guard let down = count(map.height, top, bottom, reach.down, strideDown),
            let across = count(map.width, left, right, reach.across, strideAcross)
        else { return nil }
        return (down, across)
    }

    package var withoutRounding: Window {
        var result = self
        result.roundsUp = false
        return result
    }

    /// The same window with as much behind the map as its last place needs, so that nothing has to be rounded.
    package func filled(from: FeatureMapShape, to: FeatureMapShape) -> Window {
        var result = withoutRounding
        guard roundsUp else { return result }
        result.bottom = max(bottom, (to.height - 1) * strideDown + reach.down - from.height - top)
        result.right = max(right, (to.width - 1) * strideAcross + reach.across - from.width - left)
        return result
    }
}

extension Window: CustomStringConvertible {
    /// `3×3/2, padding 1`
    public var description: String {
        var text = "\(height)×\(width)/\(strideDown)" + (strideDown == strideAcross ? "" : "×\(strideAcross)")
        if isDilated { text += ", dilation \(dilationDown)×\(dilationAcross)" }
        if top == bottom, left == right, top == left { return text + (top > 0 ? ", padding \(top)" : "") }
        return text + ", padding \(top), \(left), \(bottom), \(right)"
    }
}
