import LCPModels

extension LayerWeights {
    /// A fully connected layer with one output, z, as one with the outputs 0 and z: the softmax of these gives the second one the
    /// probability sigmoid(z).
    func yesNo() -> LayerWeights {
        LayerWeights(weight: weight.behindZeros(), bias: bias?.behindZeros())
    }
}

extension WeightStream {
    /// As many zeros, and then these weights.
    fileprivate func behindZeros() -> WeightStream {
        WeightStream(count: 2 * count) { piece in
            try WeightStream.zeros(count).read(piece)
            try read(piece)
        }
    }
}
