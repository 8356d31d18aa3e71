import LCPModels
import Testing

/// Every number that a sentence claims is computed.
@Suite struct PaperNotesTests {
    static func grouped(_ value: Int) -> String {
        var digits = Array(String(value))
        var position = digits.count - 3
        while position > 0 {
            digits.insert(",", at: position)
            position -= 3
        }
        return String(digits)
    }

    static func count(_ network: Network, _ branches: Int = 1, fattening: Fattening = .none) throws -> Int {
        try network.split(into: branches, fattening: fattening).parameterCount()
    }

    static func expect(_ numbers: [Int], in network: Network, sourceLocation: SourceLocation = #_sourceLocation) throws
    {
        let note = network.paperNotes.joined(separator: " ")
        for number in numbers {
            #expect(note.contains(grouped(number)), "\(note)", sourceLocation: sourceLocation)
        }
    }

    @Test func leNet() throws {
        let whole = try Network.lenet.split(into: 1)
        let cost = try NetworkCost(whole, original: nil)
        let biases = 6 + 16 + 120 + 84 + 10
        try Self.expect([cost.parameters - biases, cost.macs], in: .lenet)
        #expect(cost.parameters - biases == 61_470 && cost.macs == 416_520)
    }

    @Test func cifarNet() throws {
        let (whole, fat) = (try Self.count(.cifarnet), try Self.count(.cifarnet, 8, fattening: 40))
        try Self.expect([whole, fat], in: .cifarnet)
        #expect(abs(Double(whole) / Double(fat) - 4.04) < 0.005)
    }

    @Test func vggS() throws {
        #expect(Network.vggS.classes == 102)
        try Self.expect([try Self.count(.vggS), try Self.count(Network.vggS.with(classes: 100))], in: .vggS)
    }

    @Test func vgg16() throws {
        try Self.expect([try Self.count(.vgg16, 8), try Self.count(.vgg16, 8, fattening: 40)], in: .vgg16)
    }

    @Test func resNet50() throws {
        try Self.expect(
            [
                try Self.count(.resnet50), try Self.count(.resnet50, 8), try Self.count(.resnet50, 8, fattening: 40),
            ], in: .resnet50)
    }

    @Test func mobileNet() throws {
        try Self.expect([try Self.count(.mobilenet, 8), try Self.count(.mobilenet, 8, fattening: 40)], in: .mobilenet)
    }

    @Test func whatFollowsTheRuleNeedsNoWord() {
        for name in ["lenet-fc", "alexnet", "resnet18"] {
            #expect(Network.zoo.first { $0.name == name }?.paperNotes == [])
        }
    }
}
