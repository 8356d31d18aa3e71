import Foundation
import Images
import Testing

@testable import LCPPipeline

@Suite("What is taken of a sensor in a second") struct SensorBudgetTests {
    private static let start = ContinuousClock.now

    /// How many of so many messages are taken, one every so many seconds.
    private static func taken(
        _ count: Int, every interval: Double, pixels: Int = 0, bytes: Int = 0, _ budget: SensorBudget,
        of sensor: (Int) -> String = { _ in "cam" }
    ) -> Int {
        var accounts = SensorAccounts(budget)
        return (0..<count).count { index in
            accounts.take(
                sensor(index), pixels: pixels, bytes: bytes, now: start + .seconds(Double(index) * interval))
        }
    }

    @Test("A sensor gets what it may send in a second, however much it sends")
    func rate() {
        let budget = SensorBudget(pixelsPerSecond: 10e6, bytesPerSecond: 1e6)
        // Ten seconds, and one in advance.
        let pixels = Self.taken(1000, every: 0.01, pixels: 1_000_000, budget)
        #expect((100...111).contains(pixels), "\(pixels)")
        let bytes = Self.taken(1000, every: 0.01, bytes: 100_000, budget)
        #expect((100...111).contains(bytes), "\(bytes)")
        #expect(Self.taken(1000, every: 0.01, pixels: 90_000, bytes: 9000, budget) == 1000)
        #expect(Self.taken(1000, every: 0.01, pixels: .max / 4, bytes: .max / 4, SensorBudget()) == 1000)
    }

    @Test("A picture of more than a second's worth is taken, and its sensor then waits")
    func overdraft() {
        let budget = SensorBudget(pixelsPerSecond: 10e6)
        #expect(Self.taken(100, every: 0.1, pixels: 24_000_000, budget) == 5)
    }

    @Test("What is owed stays owed while others come, and is forgiven after a minute")
    func debt() {
        var accounts = SensorAccounts(SensorBudget(pixelsPerSecond: 1e6))
        func take(_ sensor: String, _ pixels: Int, _ seconds: Double) -> Bool {
            accounts.take(sensor, pixels: pixels, bytes: 1, now: Self.start + .seconds(seconds))
        }
        let first = take("greedy", 10_000_000, 0)
        #expect(first)
        for index in 0..<3000 { _ = take("s\(index)", 1, 2) }
        let (early, late) = (take("greedy", 1, 3), take("greedy", .max / 2, 10))
        #expect(!early && late)
        let (owing, forgiven) = (take("greedy", 1, 69), take("greedy", 1, 71))
        #expect(!owing && forgiven)
    }

    @Test("What one sensor sends is no other's, and endless names share one account")
    func strangers() {
        let budget = SensorBudget(bytesPerSecond: 1e6)
        #expect(Self.taken(500, every: 0.001, bytes: 900_000, budget) { "cam\($0)" } == 500)
        let many = Self.taken(3000, every: 0.0001, bytes: 900_000, budget) { "cam\($0)" }
        #expect((1024...1030).contains(many), "\(many)")
    }

    @Test("The pixels of a picture are known by its header, also of one that is a text")
    func pixels() throws {
        let png = try Image(height: 30, width: 40, channels: 1, pixels: [UInt8](repeating: 0, count: 1200)).png()
        let text = Array(Data(png).base64EncodedString().utf8)
        #expect(png.withUnsafeBytes(SensorBudget.pixels) == 1200)
        #expect(text.withUnsafeBytes(SensorBudget.pixels) == 1200)
        #expect([UInt8](repeating: 0, count: 784).withUnsafeBytes(SensorBudget.pixels) == 0)
    }
}
