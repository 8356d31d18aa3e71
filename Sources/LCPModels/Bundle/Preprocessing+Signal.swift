extension ModelManifest.Preprocessing {
    /// Bytes of a number of an input that is not normalised yet: a pixel, or a signal's FP32.
    public var elementSize: Int { signal == nil ? 1 : 4 }

    /// - Parameter purpose: what works with pictures alone.
    /// - Throws: ``NetworkError`` for a model that takes a signal.
    package func refuseSignal(_ purpose: String) throws(NetworkError) {
        guard signal == nil else {
            throw NetworkError("\(purpose) is for models that take pictures, and this one takes a signal's numbers")
        }
    }
}
