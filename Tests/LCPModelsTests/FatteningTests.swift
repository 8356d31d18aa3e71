import Foundation
import LCPModels
import Testing

@Suite struct FatteningTests {
    @Test(arguments: [
        ("0", Fattening.none), ("40", 40), ("50,0", Fattening(convolutions: 50, fullyConnected: 0)), ("7,7", 7),
        ("75,-20", Fattening(convolutions: 75, fullyConnected: -20)), ("-20", -20),
    ])
    func textsAreRead(text: String, fattening: Fattening) {
        #expect(Fattening(text) == fattening)
        #expect(Fattening("\(fattening)") == fattening)
    }

    @Test(arguments: ["", ",", "50,", ",50", "1,2,3", "40%", "4.5", "99999999999999999999"])
    func otherTextsAreNot(text: String) {
        #expect(Fattening(text) == nil)
    }

    @Test(arguments: [("40", 40), (#""50,0""#, Fattening(convolutions: 50, fullyConnected: 0))])
    func jsonIsReadAndWritten(json: String, fattening: Fattening) throws {
        #expect(try JSONDecoder().decode(Fattening.self, from: Data(json.utf8)) == fattening)
        #expect(String(decoding: try JSONEncoder().encode(fattening), as: UTF8.self) == json)
    }

    @Test(arguments: [#""wide""#, "null", "[50, 0]", "4.5"])
    func otherJSONIsRefused(json: String) {
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(Fattening.self, from: Data(json.utf8)) }
    }

    /// CifarNet's convolutions are 64 and 64 wide, its fully connected layers 384 and 192.
    @Test func convolutionsAndFullyConnectedLayersAreFattenedApart() throws {
        func widths(_ fattening: Fattening) throws -> [Int] {
            try Network.cifarnet.split(into: 4, fattening: fattening).branches[3].compactMap(\.width)
        }
        #expect(try widths(50) == [24, 24, 144, 72])
        #expect(try widths(Fattening(convolutions: 50, fullyConnected: 0)) == [24, 24, 96, 48])
        #expect(try widths(Fattening(convolutions: 0, fullyConnected: 50)) == [16, 16, 144, 72])
        #expect(try widths(Fattening(convolutions: 75, fullyConnected: -20)) == [28, 28, 77, 38])
        #expect(try Network.lenet.split(into: 6, fattening: -90).branches[0].compactMap(\.width) == [1, 1, 2, 1])
    }

    @Test(arguments: [(-91, 0), (0, -91), (1001, 0), (0, 1001), (.max, 0), (0, .max), (.min, .min)])
    func otherPercentagesAreRefused(convolutions: Int, fullyConnected: Int) {
        let fattening = Fattening(convolutions: convolutions, fullyConnected: fullyConnected)
        #expect(throws: NetworkError.self) { try Network.lenet.split(into: 2, fattening: fattening) }
    }
}
