import LCPModels

/// Numbers without values: for a network of which only the time counts. Batch normalisations are in the weights before them.
struct TimingArithmetic: BranchArithmetic {
    let word: ArrayShape.Word
    let classes: Int?

    var least: Int { word == .int8 ? -128 : -32_768 }
    var most: Int { word == .int8 ? 127 : 32_767 }
    var hasWeights: Bool { false }

    func zero(behind layer: Int) -> Int { 0 }
    func isSame(_ one: Int, _ other: Int) -> Bool { true }
    func six(behind layer: Int) -> Int { most }
    func products(_ pass: inout ArrayPass, layer: Int, reading input: Int, dimensions: [Int]) {}
    func mean(_ pass: inout ArrayPass, layer: Int, reading input: Int, count: Int) {}
    func sum(_ pass: inout ArrayPass, layer: Int, reading inputs: [Int]) {
        if word == .int8 { (pass.planes, pass.isDirect) = (2, true) }
    }
    func identity(_ pass: inout ArrayPass, reading input: Int) { pass.isDirect = true }
    func head(_ pass: inout ArrayPass, reading input: Int, shape: FeatureMapShape) { pass.isRaw = word == .int8 }
}
