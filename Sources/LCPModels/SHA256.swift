import CCrypto

/// SHA-256 through the system's libcrypto, which the MQTT client loads for TLS anyway.
package enum SHA256 {
    /// The 32 bytes of the digest.
    package static func digest(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { target, count in
            var length: UInt32 = 0
            let done = EVP_Digest(bytes, bytes.count, target.baseAddress, &length, EVP_sha256(), nil)
            precondition(done == 1 && length == 32, "libcrypto has no SHA-256")
            count = 32
        }
    }

    /// The digest as 64 hexadecimal digits.
    package static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest(bytes).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
