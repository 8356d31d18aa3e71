package import LCPModels

/// Whether a picture is dark on bright, where its model was trained on bright on dark: the commonest reason for wrong digits.
package enum Brightness {
    /// Models of which the average pixel was darker than this saw bright things on black.
    private static let darkModel: Float = 0.25
    /// Pictures of which the average pixel is brighter than this are something on white.
    private static let brightPicture = 0.6

    /// - Parameter pixels: of one channel.
    package static func looksInverted(_ pixels: [UInt8], _ preprocessing: ModelManifest.Preprocessing) -> Bool {
        guard preprocessing.mean.count == 1, preprocessing.mean[0] < darkModel, !pixels.isEmpty else { return false }
        let sum = pixels.reduce(0) { $0 + Int($1) }
        return Double(sum) > brightPicture * 255 * Double(pixels.count)
    }

    /// What people are told.
    package static let hint =
        "dark on bright, and the model was trained on bright on dark: invert it (convert in.png -negate out.png)"
}
