/// Small examples of records and sound.
extension Seeds {
    public static let recordTexts: [[UInt8]] = [
        "t,a,b,label\n0,1,2,x\n1,3,4,x\n2,5,6,x\n3,7,8,y\n",
        "a;b;label\r\n1.5;-2e3;\"x;\"\"y\"\r\n;NaN;z\r\n1;2;z\r\n1;2;z\r\n",
        "1,2,3\n4,5,6\n7,8,9\n", "\u{FEFF}a\tb\tclass\n1\t2\tu\n3\t4\tu\n",
    ].map { Array($0.utf8) }

    public static let recordLines: [[UInt8]] = [
        #"{"a":1,"b":{"c":[1,2.5]}}"# + "\n" + #"{"a":"3","b":{"c":[0,true]}}"# + "\n",
        "[1,2]\n[3,4]\n[5,6]\n", #"[{"a":1,"b.c[1]":2},{"a":null}]"#,
    ].map { Array($0.utf8) }

    public static let sounds: [[UInt8]] = [(1, 8), (1, 16), (2, 16), (1, 24), (1, 32)].map { channels, bits in
        func number(_ value: Int, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        let size = 40 * channels * bits / 8
        return Array("RIFF".utf8) + number(36 + size, 4) + Array("WAVEfmt ".utf8) + number(16, 4) + number(1, 2)
            + number(channels, 2) + number(8000, 4) + number(8000 * channels * bits / 8, 4)
            + number(channels * bits / 8, 2) + number(bits, 2) + Array("data".utf8) + number(size, 4)
            + (0..<size).map { UInt8(truncatingIfNeeded: $0 * 37) }
    }
}
