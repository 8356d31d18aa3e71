import FoundationEssentials
import LCPWire
import Platform

/// Whose models a pipeline takes: those that are signed for it with one key.
struct ModelTrust: Sendable {
    let key: VerificationKey
    /// The pipeline's prefix and name.
    let root: String

    /// Why an offer is not taken.
    enum Refusal: String {
        case unsigned = "unsigned_model"
        case foreign = "foreign_model"
        case forged = "forged_model"

        func sentence(_ name: String) -> String {
            switch self {
            case .unsigned: "the model \(name) is not signed, and this pipeline has a model_key: push it with --sign"
            case .foreign: "the model \(name) is signed with another key than this pipeline's model_key"
            case .forged:
                "the signature of the model \(name) does not fit: it was signed for another pipeline, or changed afterwards"
            }
        }
    }

    /// - Returns: nil where it is to be taken.
    func refusal(of offer: ModelOffer) -> Refusal? {
        guard let signature = offer.signature else { return .unsigned }
        guard signature.key == key.description else { return .foreign }
        guard let value = Data(base64Encoded: signature.value),
            key.verifies(Array(value), of: offer.signedBytes(root: root))
        else { return .forged }
        return nil
    }
}

extension ModelOffer {
    /// The same, vouched for.
    ///
    /// - Parameter root: the pipeline's prefix and name.
    func signed(with key: SigningKey, root: String) -> ModelOffer {
        var result = self
        result.signature = Signature(
            key: key.verificationKey.description,
            value: Data(key.signature(of: signedBytes(root: root))).base64EncodedString())
        return result
    }
}
