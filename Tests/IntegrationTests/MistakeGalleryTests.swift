import Foundation
import LCPDatasets
import LCPModels
import Platform
import Testing

@Suite("The page of mistakes") struct MistakeGalleryTests {
    @Test("Shows each picture that is taken for another class, the surest first, and no label becomes markup")
    func page() async throws {
        let folder = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let network = try Network.named("lenet").split(into: 1)
        var random = SeededGenerator(seed: 9)
        // It has learned nothing, and nearly every answer is wrong.
        try ModelBundle.write(
            name: "wrong", network: network, parameters: try .random(for: network, using: &random),
            preprocessing: .usual(for: network.input),
            labels: (0..<10).map { "<b onclick=\"x\">\($0)&" }, to: "\(folder)/model")
        let images = DrawnDigits(seed: 4)
        func bytes(_ number: Int) -> [UInt8] {
            (0..<4).reversed().map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
        }
        let digits = (0..<300).map { images.image(UInt64($0)) }
        try FileIO.write(
            [0, 0, 8, 3] + bytes(300) + bytes(28) + bytes(28) + digits.flatMap(\.pixels), to: "\(folder)/images")
        try FileIO.write([0, 0, 8, 1] + bytes(300) + digits.map { UInt8($0.label) }, to: "\(folder)/labels")
        let outcome = try await run(
            Repository.lcp,
            [
                "evaluate", "\(folder)/model", "--data", "idx:\(folder)/images,\(folder)/labels", "--html",
                "\(folder)/mistakes.html",
            ])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let page = String(decoding: try FileIO.read("\(folder)/mistakes.html"), as: UTF8.self)
        // More are wrong than are shown.
        #expect(page.components(separatedBy: "<figure>").count - 1 == 120)
        #expect(page.components(separatedBy: "data:image/png;base64,").count - 1 == 120)
        #expect(!page.contains("<b onclick") && page.contains("&lt;b onclick=&quot;x&quot;&gt;"))
        let sureness = page.matches(of: /<\/b> (\d+) %/).compactMap { Int($0.1) }
        #expect(sureness.count == 120 && sureness == sureness.sorted(by: >))
    }
}
