import Foundation
import Platform
import Testing

@testable import LCPWire

@Suite struct PredictionTests {
    static func frame(
        sensor: String = "cam", number: UInt64 = 3, branches: UInt64 = 0b1011, missing: UInt64 = 0b0100,
        hasStandIn: Bool = false, label: Int32 = -1
    ) -> AnsweredFrame {
        AnsweredFrame(
            sensor: sensor, number: number, label: label, branches: branches, missing: missing, hasStandIn: hasStandIn,
            computeTime: 1234)
    }

    static func write(
        _ frame: AnsweredFrame, _ probabilities: [Float], labels: [String], latency: Int64? = nil, time: Int64 = 0
    )
        -> [UInt8]
    {
        var writer = PredictionWriter(labels: labels, model: "m \"1\"")
        probabilities.withUnsafeBufferPointer {
            writer.write(
                frame, probabilities: $0, joinTime: .microseconds(700), latency: latency, time: time)
        }
        return writer.bytes
    }

    @Test func thePredictionIsTheDocumentedJSON() throws {
        let json = Self.write(
            Self.frame(number: .max, label: 1), [0.25, 0.5, 0.25], labels: ["no", "yes", "perhaps"], latency: 1_500_000,
            time: 1_709_210_096_007_999_999)
        let expected =
            #"{"sensor":"cam","frame":"18446744073709551615","class":1,"label":"yes","confidence":0.5,"#
            + #""probabilities":[0.25,0.5,0.25],"#
            + #""branches":[0,1,3],"missing":[2],"compute_ms":1.234,"join_ms":0.7,"latency_ms":1.5,"truth":1,"#
            + #""model":"m \"1\"","time":"2024-02-29T12:34:56.007Z"}"#
        #expect(String(decoding: json, as: UTF8.self) == expected)
        let read = try #require(Prediction(json))
        #expect(read.class == 1 && read.missing == [2] && read.truth == 1 && read.confidence == 0.5)
    }

    @Test("The time is RFC 3339's, as Foundation writes it")
    func times() throws {
        var random = SeededGenerator(seed: 7)
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        for _ in 0..<2000 {
            let milliseconds = Int64(Double(random.unit()) * 7e12)
            let json = Self.write(Self.frame(), [1], labels: ["a"], time: milliseconds * 1_000_000 + 999_999)
            let date = Date(timeIntervalSince1970: Double(milliseconds) / 1000 + 0.0001)
            #expect(try #require(Prediction(json)).time == date.formatted(style))
        }
    }

    @Test("Where the parity branch stands in for another, the prediction says so")
    func standsIn() throws {
        let json = Self.write(Self.frame(hasStandIn: true), [1], labels: ["a"])
        #expect(String(decoding: json, as: UTF8.self).contains(#""missing":[2],"parity":true,"compute_ms""#))
        #expect(try #require(Prediction(json)).parity == true)
    }

    @Test func unknownsAreLeftOut() throws {
        let read = try #require(Prediction(Self.write(Self.frame(), [0.5, 0.5], labels: ["a", "b"])))
        #expect(read.latencyMilliseconds == nil && read.truth == nil && read.top == nil)
    }

    @Test func manyClassesAreListedByTheTopTen() throws {
        let probabilities = (0..<1000).map { Float($0) / 499_500 }
        let read = try #require(
            Prediction(Self.write(Self.frame(), probabilities, labels: (0..<1000).map { "class \($0)" })))
        #expect(read.probabilities == nil)
        #expect(read.top?.map(\.class) == Array((990...999).reversed()))
    }

    @Test func anyNameSurvives() throws {
        for name in ["a\"b", "back\\slash", "tab\t", "ünï😀", "\u{1}", "'"] {
            let json = Self.write(Self.frame(sensor: name), [1], labels: [name])
            let read = try #require(Prediction(json), "\(name.debugDescription)")
            #expect(read.sensor == name && read.label == name)
        }
    }

    @Test func numbersKeepTheirDigits() throws {
        var random = SeededGenerator(seed: 4)
        for _ in 0..<500 {
            let value = random.unit()
            let read = try #require(Prediction(Self.write(Self.frame(), [value, 1 - value], labels: ["a", "b"])))
            #expect(abs((read.probabilities?[0] ?? -1) - Double(value)) <= 0.5e-6 + 1e-9)
        }
    }

    @Test func hostileJSONIsNoPrediction() {
        for text in [
            "", "{", "[]", "null", "{\"class\":1}", String(repeating: "[", count: 100_000), "{\"class\":1e999}",
            #"{"sensor":1,"frame":2}"#,
        ] {
            #expect(Prediction(Array(text.utf8)) == nil)
            #expect(RoleStatus(Array(text.utf8)) == nil)
        }
        #expect(Prediction([UInt8](repeating: 0x20, count: 2 << 20)) == nil)
    }
}
