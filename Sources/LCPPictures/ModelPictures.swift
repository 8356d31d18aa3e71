public import Images
public import LCPModels

extension ImageSize {
    /// What a picture has to become for a model: one way for workers, sensors, training and evaluation.
    ///
    /// - Parameters:
    ///   - shape: of the network's input; one channel or three.
    ///   - preprocessing: the model's; nil where none is known.
    public init(_ shape: FeatureMapShape, _ preprocessing: ModelManifest.Preprocessing?) {
        let mode: ImageFit.Mode =
            switch preprocessing?.resize {
            case nil: .stretch
            case .crop(let shorter): .crop(shorter: shorter)
            case .letterbox(let grey): .letterbox(grey: grey)
            }
        self.init(
            height: shape.height, width: shape.width, channels: shape.channels, mode: mode,
            background: preprocessing?.background ?? 255)
    }
}
