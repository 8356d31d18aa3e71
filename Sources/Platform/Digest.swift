import CCrypto

/// SHA-256 through the system's libcrypto, which the MQTT client loads for TLS anyway.
package enum SHA256 {
    /// The 32 bytes of the digest.
    package static func digest(_ bytes: [UInt8]) -> [UInt8] {
        guard let digest = libcryptoDigest(bytes, EVP_sha256()), digest.count == 32 else {
            preconditionFailure("libcrypto has no SHA-256")
        }
        return digest
    }

    /// The digest as 64 hexadecimal digits.
    package static func hex(_ bytes: [UInt8]) -> String { hexadecimal(digest(bytes)) }

    /// A digest of bytes that come a piece at a time.
    package final class Stream {
        private let context = EVP_MD_CTX_new()

        package init() {
            guard EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
                preconditionFailure("libcrypto has no SHA-256")
            }
        }

        deinit { EVP_MD_CTX_free(context) }

        package func append(_ bytes: UnsafeRawBufferPointer) {
            EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
        }

        /// The digest of all that was appended, as 64 hexadecimal digits; nothing may be appended behind it.
        package func hex() -> String {
            var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
            var length: UInt32 = 0
            EVP_DigestFinal_ex(context, &digest, &length)
            return hexadecimal(Array(digest.prefix(Int(length))))
        }
    }
}

/// MD5, for archives whose publishers tell no other digest: it shows damage, and no longer forgery.
package enum MD5 {
    /// The digest as 32 hexadecimal digits; nil where the system's libcrypto is set up to refuse MD5.
    package static func hex(_ bytes: [UInt8]) -> String? { libcryptoDigest(bytes, EVP_md5()).map(hexadecimal) }
}

private func libcryptoDigest(_ bytes: [UInt8], _ algorithm: OpaquePointer?) -> [UInt8]? {
    var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var length: UInt32 = 0
    guard EVP_Digest(bytes, bytes.count, &digest, &length, algorithm, nil) == 1 else { return nil }
    return Array(digest.prefix(Int(length)))
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
