/// A picture as text: base64 (RFC 4648), alone or in a data URL (RFC 2397), as browsers and Node-RED send it.
enum TextPicture {
    /// The number of each letter; of those of the alphabet for addresses, too.
    private static let numbers: [UInt32] = {
        var numbers = [UInt32](repeating: .max, count: 256)
        for alphabet in ["+/", "-_"] {
            let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + alphabet
            for (number, letter) in letters.utf8.enumerated() { numbers[Int(letter)] = UInt32(number) }
        }
        return numbers
    }()

    /// As many letters as tell a picture's format.
    private static let signature = 36
    private static let longestHeader = 200

    /// The format of the picture that a text holds; nil where it holds none.
    static func format(of text: UnsafeRawBufferPointer) -> ImageFormat? {
        // What a data URL, base64 of any of the signatures, or white space before it begins with: frames of pixels are asked, too.
        guard let first = text.first, "d/_iURQ \r\n".utf8.contains(first), let start = start(of: text) else {
            return nil
        }
        let beginning = decoded(UnsafeRawBufferPointer(rebasing: text[start...].prefix(signature)), isWhole: false)
        return beginning?.withUnsafeBytes { ImageFormat(signatureOf: $0) }
    }

    /// The picture that a text holds; nil where there is anything but base64.
    static func decoded(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
        guard let start = start(of: text) else { return nil }
        return decoded(UnsafeRawBufferPointer(rebasing: text[start...]), isWhole: true)
    }

    /// Where the base64 begins: behind the comma of a data URL.
    private static func start(of text: UnsafeRawBufferPointer) -> Int? {
        guard text.starts(with: "data:image/".utf8) else { return 0 }
        guard let comma = text.prefix(longestHeader).firstIndex(of: UInt8(ascii: ",")) else { return nil }
        let marker = Array(";base64".utf8)
        guard comma > marker.count, text[(comma - marker.count)..<comma].elementsEqual(marker) else { return nil }
        return comma + 1
    }

    private static func decoded(_ text: UnsafeRawBufferPointer, isWhole: Bool) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(text.count / 4 * 3 + 3)
        var (word, count, isOver) = (UInt32(0), 0, false)
        for letter in text {
            // Lines of mail, and what a shell adds at the end.
            if letter == 0x0A || letter == 0x0D || letter == 0x20 { continue }
            if letter == UInt8(ascii: "=") {
                isOver = true
                continue
            }
            let number = numbers[Int(letter)]
            guard number != .max, !isOver else { return nil }
            word = word << 6 | number
            count += 1
            if count == 4 {
                for shift in [16, 8, 0] as [UInt32] { result.append(UInt8(truncatingIfNeeded: word >> shift)) }
                (word, count) = (0, 0)
            }
        }
        switch count {
        case 2: result.append(UInt8(truncatingIfNeeded: word >> 4))
        case 3: result += [UInt8(truncatingIfNeeded: word >> 10), UInt8(truncatingIfNeeded: word >> 2)]
        case 1 where isWhole: return nil
        default: break
        }
        return result
    }
}
