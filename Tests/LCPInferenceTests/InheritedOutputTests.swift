import LCPModels
import Platform
import Testing

@Suite struct InheritedOutputTests {
    /// Skip connections, a parallel path, a join and a depthwise convolution. A network whose halves are not connected makes what
    /// two branches make that begin as its shares.
    @Test func sharesOfUnconnectedHalvesMakeTheSame() throws {
        let layers: [Layer] = [
            .convolution(outputs: 8, kernel: 3, padding: 1), .batchNormalization(), .relu,
            .depthwiseConvolution(kernel: 3, padding: 1), .convolution(outputs: 8, kernel: 1, hasBias: false),
            .batchNormalization(), .add(2), .relu,
            .output(of: 2), .convolution(outputs: 8, kernel: 3, padding: 1), .concatenate([7, 2]),
            .convolution(outputs: 8, kernel: 1), .add(7), .maxPool(size: 2, stride: 2), .fullyConnected(outputs: 6),
        ]
        let network = Network(
            name: "halves", input: FeatureMapShape(height: 4, width: 4, channels: 3), layers: layers, classes: 3,
            merge: .concat)
        let (whole, halves) = (try network.split(into: 1), try network.split(into: 2))
        var random = SeededGenerator(seed: 5)
        var parameters = try ModelParameters.random(for: whole, using: &random)
        let shapes = try whole.shapes(of: 0)
        for (index, layer) in layers.enumerated() where index > 0 {
            guard let width = layer.width, var own = parameters.branches[0][index] else { continue }
            let (inputs, half) = (shapes[index].channels, width / 2)
            let perChannel = own.weight.count / width / inputs
            for output in 0..<width {
                for input in 0..<inputs where output / half != input % 8 / 4 {
                    for place in 0..<perChannel { own.weight[(output * inputs + input) * perChannel + place] = 0 }
                }
            }
            parameters.branches[0][index] = own
        }
        var heir = try ModelParameters.random(for: halves, using: &random)
        try heir.inherit(from: whole, parameters, for: halves)
        let image = (0..<48).map { Double($0 * 37 % 48) / 48 - 0.5 }
        let expected = Reference.run(layers, shapes, parameters.branches[0], input: image)
        let found = try (0..<2).flatMap { branch in
            Reference.run(
                halves.branches[branch], try halves.shapes(of: branch), heir.branches[branch], input: image)
        }
        #expect(expected.contains { abs($0) > 1e-3 })
        #expect(found == expected)
        #expect(heir.merge == parameters.merge)
    }
}
