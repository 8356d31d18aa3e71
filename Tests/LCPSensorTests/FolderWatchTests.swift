import Foundation
import Testing

@testable import LCPSensor

@Suite struct FolderWatchTests {
    private static func file(_ name: String, _ size: Int, _ time: Int64) -> FolderWatch.File {
        FolderWatch.File(name: name, size: size, time: time)
    }

    @Test("A file is new once, when it does not grow any more, and what was there at the start is not")
    func newFiles() {
        let old = Self.file("old", 5, 1)
        var watch = FolderWatch([old])
        #expect(watch.look([old, Self.file("a", 10, 2)]) == [], "it may be written still")
        #expect(watch.look([old, Self.file("a", 20, 3)]) == [])
        #expect(watch.look([old, Self.file("a", 20, 3)]) == ["a"])
        #expect(watch.look([old, Self.file("a", 20, 3)]) == [])
    }

    @Test("One that is written anew under its name is new again, and an empty one never")
    func again() {
        var watch = FolderWatch([Self.file("latest.jpg", 5, 1)])
        let new = Self.file("latest.jpg", 6, 9)
        #expect(watch.look([new]) == [] && watch.look([new]) == ["latest.jpg"] && watch.look([new]) == [])
        let empty = Self.file("empty.jpg", 0, 1)
        #expect(watch.look([new, empty]) == [] && watch.look([new, empty]) == [])
    }

    @Test("Of several new files the oldest comes first, and one that is taken away is forgotten")
    func order() {
        var watch = FolderWatch([])
        let files = [Self.file("a", 1, 30), Self.file("b", 1, 10), Self.file("c", 1, 20)]
        _ = watch.look(files)
        #expect(watch.look(files) == ["b", "c", "a"])
        #expect(watch.look([]) == [])
        _ = watch.look(files)
        #expect(watch.look(files) == ["b", "c", "a"], "it was put there again")
    }
}
