import CFuzzer
import Foundation
import HostileInputs
import LCPFuzzing

// libFuzzer has the main function. It calls `initialize` first, which reads
//   fuzz list                                  the parsers' names
//   fuzz prepare PARSER FIXTURES FOLDER        the seeds as files in a folder, and a dictionary beside it
//   fuzz PARSER [what libFuzzer takes]

/// The parser of this process; set once, before anything runs.
nonisolated(unsafe) private var parser = Parser.all[0]

@_cdecl("LLVMFuzzerInitialize")
func initialize(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>
) -> CInt {
    let words = CommandLine.arguments
    switch (words.dropFirst().first, words.count) {
    case ("list", 2):
        for parser in Parser.all { print(parser.name) }
        exit(0)
    case ("prepare", 5):
        do { try prepare(named(words[2]), fixtures: words[3], folder: words[4]) } catch { fail("\(error)") }
        exit(0)
    case (let name?, _):
        parser = named(name)
        // Its name is nothing that libFuzzer knows.
        arguments.pointee[1] = arguments.pointee[0]
        arguments.pointee += 1
        count.pointee -= 1
        return 0
    default: fail("usage: fuzz list | fuzz prepare PARSER FIXTURES FOLDER | fuzz PARSER [libFuzzer's arguments]")
    }
}

@_cdecl("LLVMFuzzerTestOneInput")
func test(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    do throws(Violation) { try parser.run(Array(UnsafeBufferPointer(start: data, count: size))) } catch {
        fatalError(error.description)
    }
    return 0
}

/// A mutation of libFuzzer's, most often with its checksums made right again.
@_cdecl("LLVMFuzzerCustomMutator")
func mutate(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ maximumSize: Int, _ seed: UInt32) -> Int {
    let count = LLVMFuzzerMutate(data, size, maximumSize)
    guard seed % 4 != 0 else { return count }
    var bytes = Array(UnsafeBufferPointer(start: data, count: count))
    parser.format.repair(&bytes)
    for (index, byte) in bytes.prefix(count).enumerated() { data[index] = byte }
    return count
}

private func named(_ name: String) -> Parser {
    guard let parser = Parser.all.first(where: { $0.name == name }) else {
        fail("there is no parser \(name), only \(Parser.all.map(\.name).joined(separator: ", "))")
    }
    return parser
}

private func prepare(_ parser: Parser, fixtures: String, folder: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (index, seed) in parser.seeds(Fixtures(path: fixtures)).enumerated() {
        try Data(seed).write(to: URL(fileURLWithPath: "\(folder)/seed-\(index)"))
    }
    let words = parser.format.words.map { word in
        "\"" + word.utf8.map { "\\x" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\"\n"
    }
    try Data(words.joined().utf8).write(to: URL(fileURLWithPath: folder + ".words"))
}

private func fail(_ text: String) -> Never {
    FileHandle.standardError.write(Data("fuzz: \(text)\n".utf8))
    exit(2)
}
