import CBranchKernels

/// What is done to every number, or to every pixel, by itself.
struct IntegerElements: IntegerStep {
    enum Kind {
        /// With another value, or with a factor for each channel.
        case product(lcp_integer_product, UnsafePointer<UInt8>, isFactor: Bool)
        /// What −128 to 127 become.
        case lookup([Int8])
        /// For each channel of the output the one of so many that it is.
        case pick([Int32], from: Int)
    }

    let functions: lcp_integer_kernels
    let kind: Kind
    let input: UnsafePointer<UInt8>
    let output: UnsafeMutablePointer<UInt8>
    let pixels: Int
    let channels: Int
    let sharing: Sharing

    var scratchBytes: Int { 0 }

    func run(_ scratch: UnsafeMutableRawPointer) {
        sharing.run(pixels) { part, _ in
            let begin = part.lowerBound
            let to = output + begin * channels
            switch kind {
            case .product(var product, let second, let isFactor):
                functions.product(
                    &product, input + begin * channels, second + (isFactor ? 0 : begin * channels), isFactor ? 1 : 0,
                    to,
                    part.count, channels)
            case .lookup(let table): functions.look_up(table, input + begin * channels, to, part.count * channels)
            case .pick(let table, let from): functions.pick(table, input + begin * from, to, part.count, from, channels)
            }
        }
    }
}
