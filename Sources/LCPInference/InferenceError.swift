import CXNNPACK

/// Why a branch cannot be prepared or run.
public struct InferenceError: Error, Hashable, CustomStringConvertible {
    public let description: String
    /// Whether what computes is gone for good, so that no other frame will do better.
    package let endsDevice: Bool

    package init(_ description: String, endsDevice: Bool = false) {
        (self.description, self.endsDevice) = (description, endsDevice)
    }

    package static func inputSize(_ found: Int, expected: Int) -> InferenceError {
        InferenceError("the input has \(found) bytes, the network takes \(expected)")
    }

    static func check(_ status: xnn_status, _ action: @autoclosure () -> String) throws(InferenceError) {
        guard status != xnn_status_success else { return }
        let reason =
            switch status {
            case xnn_status_invalid_parameter: "invalid parameter"
            case xnn_status_unsupported_parameter: "unsupported parameter"
            case xnn_status_unsupported_hardware: "unsupported hardware"
            case xnn_status_out_of_memory: "out of memory"
            default: "status \(status.rawValue)"
            }
        throw InferenceError("\(action()) failed in XNNPACK: \(reason)")
    }
}
