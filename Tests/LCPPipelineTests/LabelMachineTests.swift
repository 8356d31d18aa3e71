import Testing

@testable import LCPPipeline

@Suite struct LabelMachineTests {
    private static func rule(_ threshold: Double, _ hits: Int, _ window: Int) -> EventRule {
        var rule = EventRule()
        (rule.threshold, rule.hits, rule.window) = (threshold, hits, window)
        return rule
    }

    /// What is said of a series of labels, each as sure as its case says: capitals are sure.
    private static func changes(_ labels: String, _ rule: EventRule, held: LabelMachine.Held? = nil) -> [String] {
        var machine = LabelMachine(rule, held: held)
        return labels.enumerated().compactMap { index, character in
            machine.saw(
                character.uppercased(), confidence: character.isUppercase ? 0.9 : 0.3, time: Int64(index)
            ).map { change in
                func text(_ held: LabelMachine.Held?) -> String {
                    switch held {
                    case .label(let label): label
                    case LabelMachine.Held.none?: "none"
                    case nil: "?"
                    }
                }
                return "\(index): \(text(change.before)) to \(text(change.held)) since \(change.since)"
            }
        }
    }

    @Test("Without anything said, every other label is a change")
    func plain() {
        #expect(Self.changes("AAbA", EventRule()) == ["0: ? to A since 0", "2: A to B since 2", "3: B to A since 3"])
    }

    @Test("A label that is not sure enough counts as none")
    func threshold() {
        #expect(
            Self.changes("AAbcA", Self.rule(0.5, 1, 1))
                == ["0: ? to A since 0", "2: A to none since 2", "4: none to A since 4"])
    }

    @Test(
        "A label holds when so many of the latest agree, since the first of those, and one stray label changes nothing")
    func stable() {
        #expect(
            Self.changes("AABAABABBBA", Self.rule(0.5, 3, 5)) == ["3: ? to A since 0", "8: A to B since 5"])
    }

    @Test("What is known to hold already is not said again")
    func restored() {
        #expect(Self.changes("AAB", EventRule(), held: .label("A")) == ["2: A to B since 2"])
        #expect(Self.changes("aA", Self.rule(0.5, 1, 1), held: LabelMachine.Held.none) == ["1: none to A since 1"])
    }

    @Test("A confidence that is no number is sure of nothing")
    func notANumber() {
        var machine = LabelMachine(EventRule())
        let change = machine.saw("A", confidence: .nan, time: 0)
        #expect(change?.held == LabelMachine.Held.none)
    }

    @Test("A sensor has its own rule, or that of all")
    func rules() {
        var rules = EventRules()
        #expect(rules.isEmpty && rules.rule("door") == nil)
        rules.sensors["door"] = Self.rule(0.9, 2, 3)
        #expect(rules.rule("door")?.threshold == 0.9 && rules.rule("gate") == nil && !rules.isEmpty)
        rules.standard = EventRule()
        #expect(rules.rule("gate") == EventRule())
    }

    @Test("A class without a name has its number for one")
    func emptyLabels() {
        #expect(EventPublisher.name(1, ["cat", ""]) == "class 1" && EventPublisher.name(0, ["cat", ""]) == "cat")
    }

    @Test("Of sensors without a status the latest are kept with their times")
    func bareSensors() {
        var sensors = BareSensors()
        #expect(sensors.times == nil)
        for index in 0...BareSensors.maximumCount { sensors.saw("s\(index)", time: Int64(index) * 1_000_000_000) }
        #expect(sensors.times?.count == BareSensors.maximumCount && sensors.times?["s0"] == nil)
        #expect(sensors.times?["s1"] == "1970-01-01T00:00:01.000Z")
    }
}
