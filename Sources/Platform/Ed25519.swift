import CCrypto
import FoundationEssentials

/// A key that cannot be used, in one sentence's rest: "… is no private key".
public struct KeyError: Error, Hashable, CustomStringConvertible {
    public let description: String
}

/// A private key of Ed25519 (RFC 8032), through libcrypto. Its file is PEM (RFC 8410), as `openssl genpkey -algorithm ed25519` writes it.
public struct SigningKey: Sendable {
    /// The seed, 32 bytes.
    private let seed: [UInt8]

    /// A new one.
    public init() {
        var seed = [UInt8](repeating: 0, count: 32)
        guard RAND_priv_bytes(&seed, 32) == 1 else { preconditionFailure("libcrypto has no random numbers") }
        self.seed = seed
    }

    /// Reads a PEM file's bytes.
    public init(pem: [UInt8]) throws(KeyError) {
        // No passphrase is asked for.
        let key = withReader(pem) { PEM_read_bio_PrivateKey($0, nil, { _, _, _, _ in 0 }, nil) }
        defer { EVP_PKEY_free(key) }
        var (seed, count) = ([UInt8](repeating: 0, count: 32), 32)
        guard let key, EVP_PKEY_get_raw_private_key(key, &seed, &count) == 1, count == 32,
            EVP_PKEY_get_base_id(key) == NID_ED25519
        else { throw KeyError(description: "is no private key of Ed25519 in PEM, without a passphrase") }
        self.seed = seed
    }

    public var pem: [UInt8] {
        withKey { key in written { PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil) } }
    }

    /// What verifies its signatures.
    public var verificationKey: VerificationKey {
        withKey { key in
            var (bytes, count) = ([UInt8](repeating: 0, count: 32), 32)
            EVP_PKEY_get_raw_public_key(key, &bytes, &count)
            return VerificationKey(bytes: bytes)
        }
    }

    /// The signature of a message, 64 bytes.
    package func signature(of message: [UInt8]) -> [UInt8] {
        withKey { key in
            let context = EVP_MD_CTX_new()
            defer { EVP_MD_CTX_free(context) }
            var (signature, count) = ([UInt8](repeating: 0, count: 64), 64)
            guard EVP_DigestSignInit(context, nil, nil, nil, key) == 1,
                EVP_DigestSign(context, &signature, &count, message, message.count) == 1, count == 64
            else { preconditionFailure("libcrypto has no Ed25519") }
            return signature
        }
    }

    private func withKey<Result>(_ body: (OpaquePointer) -> Result) -> Result {
        guard let key = EVP_PKEY_new_raw_private_key(NID_ED25519, nil, seed, 32) else {
            preconditionFailure("libcrypto has no Ed25519")
        }
        defer { EVP_PKEY_free(key) }
        return body(key)
    }
}

/// A public key of Ed25519. As text it is the one line of its PEM file, 60 characters of base64.
public struct VerificationKey: Sendable, Hashable, CustomStringConvertible {
    /// 32 of them.
    package let bytes: [UInt8]

    package init(bytes: [UInt8]) { self.bytes = bytes }

    /// Reads the text.
    public init(_ text: String) throws(KeyError) {
        guard let der = Data(base64Encoded: text).map(Array.init), der.count == Self.prefix.count + 32,
            der.starts(with: Self.prefix)
        else { throw KeyError(description: "is no public key: one has 60 characters and begins with MCowBQYDK2VwAyEA") }
        bytes = Array(der.dropFirst(Self.prefix.count))
    }

    /// What is in front of the key's bytes in DER (RFC 8410, section 4).
    private static let prefix: [UInt8] = [
        0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00,
    ]

    public var description: String { Data(Self.prefix + bytes).base64EncodedString() }

    public var pem: [UInt8] {
        Array("-----BEGIN PUBLIC KEY-----\n\(description)\n-----END PUBLIC KEY-----\n".utf8)
    }

    /// Whether a signature is this key's of a message.
    package func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        guard signature.count == 64, let key = EVP_PKEY_new_raw_public_key(NID_ED25519, nil, bytes, bytes.count) else {
            return false
        }
        defer { EVP_PKEY_free(key) }
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        return EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1
            && EVP_DigestVerify(context, signature, 64, message, message.count) == 1
    }
}

private func withReader<Result>(_ bytes: [UInt8], _ body: (OpaquePointer?) -> Result) -> Result {
    bytes.withUnsafeBytes { bytes in
        let reader = BIO_new_mem_buf(bytes.baseAddress, Int32(min(bytes.count, 1 << 20)))
        defer { BIO_free(reader) }
        return body(reader)
    }
}

/// What is written into memory.
private func written(_ body: (OpaquePointer?) -> Int32) -> [UInt8] {
    let writer = BIO_new(BIO_s_mem())
    defer { BIO_free(writer) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    guard body(writer) == 1 else { preconditionFailure("libcrypto cannot write a key") }
    let count = BIO_read(writer, &bytes, 4096)
    return Array(bytes.prefix(max(0, Int(count))))
}
