import Foundation
import Testing

@testable import LCPPipeline

@Suite struct LogWriterTests {
    private static let time: Int64 = 1_770_091_506_789_000_000

    @Test("A line has date, time, who speaks and the text, and its level where that is not the usual")
    func text() {
        let line = LogWriter.text("worker pi-3", .info, "ready", Self.time)
        let formatter = DateFormatter()
        formatter.dateFormat = "yyyy-MM-dd HH:mm:ss"
        let date = formatter.string(from: Date(timeIntervalSince1970: 1_770_091_506))
        #expect(line == "\(date).789 worker pi-3: ready\n")
        #expect(
            LogWriter.text("worker pi-3", .warning, "dropped", Self.time)
                == "\(date).789 warning worker pi-3: dropped\n")
    }

    @Test("A line of JSON can be read, whatever stands in it")
    func json() throws {
        let line = LogWriter.json("sensor \"door\"", .error, "a \\ and 🐈\n", Self.time)
        let object = try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
        #expect(
            object == [
                "time": "2026-02-03T04:05:06.789Z", "level": "error", "name": "sensor \"door\"",
                "message": "a \\ and 🐈\n",
            ])
        #expect(line.hasSuffix("}\n") && line.filter { $0 == "\n" }.count == 1)
    }
}
