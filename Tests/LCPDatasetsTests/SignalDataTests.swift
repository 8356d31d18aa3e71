import Foundation
import LCPDatasets
import Signals
import Testing

@Suite("Data of numbers")
struct SignalDataTests {
    private static func data(_ text: String) throws -> DataSpecification {
        try DataSpecification(text, defaultDrawnCount: 1)
    }

    private static func numbers(_ set: LabeledImages) -> [Float] {
        set.pixels.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }

    @Test("What is written behind csv: is understood, and told without paths")
    func forms() throws {
        let data = try Self.data("csv:/a/b.csv,c.csv,label=x,fields=u+v,time=t,gap=0.5,by=g,hop=3")
        guard case .records(let files) = data else {
            Issue.record("no records")
            return
        }
        #expect(files.training == "/a/b.csv" && files.test == "c.csv" && files.hop == 3 && data.hasTestSet)
        #expect(files.options.fields?.names == ["u", "v"] && files.options.label == "x" && files.options.gap == 0.5)
        #expect(data.form == "csv:FILE,TEST,label=x,fields=u+v,time=t,gap=0.5,by=g,hop=3")
        #expect(try Self.data("csv:x=y.csv").form == "csv:FILE" && !Self.data("csv:a").hasTestSet)
    }

    @Test(
        "Anything else is refused",
        arguments: [
            "csv:", "csv:a,b,c", "csv:,label=x", "csv:a,label=", "csv:a,gap=0,time=t", "csv:a,gap=1", "csv:a,hop=0",
            "csv:a,fields=a+a", "wav:",
        ])
    func others(text: String) { #expect(throws: (any Error).self) { try Self.data(text).trainingSet(seed: 1) } }

    /// Eight records of each of two classes.
    private static let text =
        "a,label,b\n" + (0..<16).map { "\($0),\($0 < 8 ? "9" : "10"),5" }.joined(separator: "\n") + "\n"

    @Test("Records become windows with the classes of their rows, numbers by their size")
    func windows() throws {
        let folder = try TestFolder()
        try folder.write("x.csv", Array(Self.text.utf8))
        let data = try Self.data("csv:\(folder.path)/x.csv")
        #expect(try data.classNames() == ["9", "10"])
        let single = try data.trainingSet(seed: 1)
        #expect(single.count == 16 && single.size == ImageSize(height: 1, width: 1, channels: 2))
        #expect(single.signal == Signal(fields: ["a", "b"]) && single.imageSize == 8)
        let set = try data.trainingSet(seed: 1, size: ImageSize(height: 1, width: 4, channels: 2))
        #expect(set.labels == [0, 0, 0, 1, 1, 1])
        #expect(Array(Self.numbers(set)[..<16]) == [0, 5, 1, 5, 2, 5, 3, 5, 2, 5, 3, 5, 4, 5, 5, 5])
        // The second field is the same everywhere: it is moved and not stretched.
        let measured = single.measuredNormalization()
        #expect(measured.mean == [7.5, 5] && measured.standardDeviation[1] == 1)
        #expect(abs(measured.standardDeviation[0] - 4.6097722) < 1e-5)
        // The model's order counts.
        let other = try data.evaluationSet(
            seed: 1, size: ImageSize(height: 1, width: 1, channels: 2), signal: Signal(fields: ["b", "a"]))
        #expect(Array(Self.numbers(other)[..<4]) == [5, 0, 5, 1])
    }

    @Test("Windows that are set aside share no record with those that are trained on")
    func split() throws {
        let folder = try TestFolder()
        let text = "a,label\n" + (0..<200).map { "\($0),\($0 / 100)" }.joined(separator: "\n")
        try folder.write("x.csv", Array(text.utf8))
        for hop in [1, 3, 4, 9] {
            let data = try Self.data("csv:\(folder.path)/x.csv,hop=\(hop)")
            let set = try data.trainingSet(seed: 1, size: ImageSize(height: 1, width: 4, channels: 1))
            let (training, validation) = try set.split(validation: set.count / 5, seed: 3)
            let (seen, held) = (Set(Self.numbers(training)), Set(Self.numbers(validation)))
            #expect(seen.isDisjoint(with: held) && Set(validation.labels) == [0, 1], "hop \(hop)")
            #expect(
                validation.count == set.count / 5 && training.count + validation.count >= set.count - 2 * (3 / hop + 1))
        }
    }

    @Test(
        "A record without a value is left out and told; a column of words, a missing class and too few records are refused"
    )
    func refusals() throws {
        let folder = try TestFolder()
        func set(_ text: String, _ options: String = "", width: Int = 1, channels: Int? = nil) throws -> LabeledImages {
            try folder.write("x.csv", Array(text.utf8))
            let size = channels.map { ImageSize(height: 1, width: width, channels: $0) }
            return try Self.data("csv:\(folder.path)/x.csv\(options)").trainingSet(seed: 1, size: size)
        }
        let some = try set("a,class\n1,x\n,x\nNaN,y\n4,y\n")
        #expect(some.count == 2 && some.notes.count == 2)
        #expect(some.notes[0].hasSuffix("the fields are a") && some.notes[1].contains("2 records"))
        #expect(try set("a,class\n1,x\n4,y,7\n5,z,\n").labels.count == 2, "a row of too many cells is left out")
        for (text, options, width, words) in [
            ("a,b,class\nu,1,x\nv,2,y\n", "", 1, "no number"), ("a,b\n1,2\n", "", 1, "label=COLUMN"),
            ("a,class\n1,x\n", "", 4, "no window of 4"), ("a,class\n1,x\n", ",fields=b", 1, "no column \"b\""),
            ("a,b,class\n1,2,x\n", "", 1, "2 fields (a, b)"), ("", "", 1, "no records"),
            ("a,class\n\"1,x\n", "", 1, "quotes"),
        ] {
            let error = #expect(throws: DatasetError.self) {
                try set(text, options, width: width, channels: words == "no column \"b\"" ? nil : 1)
            }
            #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        }
    }

    @Test("Sounds in a folder for each class become windows side by side; short ones get silence")
    func sounds() throws {
        let folder = try TestFolder()
        var settings = LogMel()
        settings.bands = 8
        func wav(_ count: Int) -> [UInt8] {
            var bytes =
                Array("RIFF0000WAVEfmt ".utf8) + [
                    16, 0, 0, 0, 1, 0, 1, 0, 0x80, 0x3E, 0, 0, 0, 0x7D, 0, 0, 2, 0, 16, 0,
                ]
            let size = UInt32(2 * count)
            bytes += Array("data".utf8) + (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
            return bytes + (0..<2 * count).map { UInt8(truncatingIfNeeded: $0 * 31) }
        }
        // Three frames take 512 + 2 · 320 samples.
        try folder.write("no/short.wav", wav(600))
        try folder.write("no/broken.wav", [1, 2, 3])
        try folder.write("yes/long.WAV", wav(512 + 6 * 320))
        let data = try Self.data("wav:\(folder.path)")
        #expect(try data.classNames() == ["no", "yes"])
        let set = try data.trainingSet(seed: 1, size: ImageSize(height: 8, width: 3, channels: 1))
        #expect(set.labels == [0, 1, 1] && set.leftOut.count == 1 && set.signal == Signal(logMel: settings))
        let silence = logf(Float(LogMel.floor))
        let numbers = Self.numbers(set)
        #expect((0..<8).allSatisfy { abs(numbers[$0 * 3 + 2] - silence) < 1e-4 }, "the last frame is silent")
        #expect(numbers[0] > silence + 1)
        #expect(throws: DatasetError.self) { try data.trainingSet(seed: 1) }
        #expect(throws: DatasetError.self) {
            try data.trainingSet(
                seed: 1, size: ImageSize(height: 8, width: 3, channels: 1), signal: Signal(fields: ["a"]))
        }
    }
}
