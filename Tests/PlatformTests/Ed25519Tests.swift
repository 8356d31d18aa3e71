import Platform
import Testing

@Suite("Signatures of Ed25519") struct Ed25519Tests {
    /// RFC 8032, section 7.1, test 3.
    private static let seed = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"
    private static let publicKey = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
    private static let message: [UInt8] = [0xAF, 0x82]
    private static let signature =
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        + "4a7c15e9716ed28dc027beceea1ec40a"

    private static func bytes(_ text: String) -> [UInt8] {
        stride(from: 0, to: text.count, by: 2).map { index in
            let start = text.index(text.startIndex, offsetBy: index)
            return UInt8(text[start..<text.index(start, offsetBy: 2)], radix: 16) ?? 0
        }
    }

    /// A private key in PEM, as RFC 8410 has it: a fixed beginning and the seed.
    private static func pem(_ seed: [UInt8]) -> [UInt8] {
        let der: [UInt8] = [0x30, 0x2E, 2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 4, 0x22, 4, 0x20] + seed
        return Array("-----BEGIN PRIVATE KEY-----\n\(base64(der))\n-----END PRIVATE KEY-----\n".utf8)
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let part = bytes[start..<min(bytes.count, start + 3)]
            let word = part.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - part.count))
            for place in 0..<4 {
                text.append(place <= part.count ? digits[word >> (18 - 6 * place) & 63] : "=")
            }
        }
        return text
    }

    @Test("Signs and verifies as RFC 8032 does") func vectors() throws {
        let key = try SigningKey(pem: Self.pem(Self.bytes(Self.seed)))
        #expect(key.verificationKey == VerificationKey(bytes: Self.bytes(Self.publicKey)))
        #expect(key.signature(of: Self.message) == Self.bytes(Self.signature))
        #expect(key.verificationKey.verifies(Self.bytes(Self.signature), of: Self.message))
        #expect(key.pem == Self.pem(Self.bytes(Self.seed)))
    }

    @Test("Whatever is changed is not verified") func changed() throws {
        let key = VerificationKey(bytes: Self.bytes(Self.publicKey))
        let signature = Self.bytes(Self.signature)
        for place in 0..<64 {
            var other = signature
            other[place] ^= 0x10
            #expect(!key.verifies(other, of: Self.message))
        }
        #expect(!key.verifies(signature, of: [0xAF, 0x83]) && !key.verifies(signature, of: []))
        #expect(!key.verifies(Array(signature.dropLast()), of: Self.message) && !key.verifies([], of: Self.message))
        #expect(!SigningKey().verificationKey.verifies(signature, of: Self.message))
        #expect(SigningKey().verificationKey != SigningKey().verificationKey)
    }

    @Test("A public key is one line of text and back; anything else is told in a sentence") func text() throws {
        let key = SigningKey().verificationKey
        #expect(try VerificationKey(key.description) == key && key.description.count == 60)
        #expect(key.description.hasPrefix("MCowBQYDK2VwAyEA"))
        for text in [
            "", "x", String(key.description.dropLast(4)), key.description + "AAAA", "A" + key.description.dropFirst(),
        ] {
            #expect {
                try VerificationKey(text)
            } throws: {
                "\($0)".contains("60 characters")
            }
        }
    }

    @Test("What is no private key of Ed25519 is told in a sentence")
    func noKey() throws {
        let key = SigningKey()
        for pem in [
            [], Array("rubbish".utf8), key.verificationKey.pem, Array(key.pem.dropLast(30)), Self.pem([1, 2, 3]),
        ] {
            #expect {
                try SigningKey(pem: pem)
            } throws: {
                "\($0)".contains("no private key of Ed25519")
            }
        }
    }
}
