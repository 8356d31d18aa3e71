import LCPPipeline
import Testing

@testable import LCPSettings
@testable import lcp

@Suite struct PerSensorTests {
    private static func options(_ threshold: String?, _ stable: String?) throws -> Aggregator.Options {
        var given: [Setting: String] = [:]
        given[.threshold] = threshold
        given[.stable] = stable
        return try Settings(options: given).aggregatorOptions
    }

    @Test("Events are published where a threshold or a majority is given, for all sensors or for some")
    func rules() throws {
        #expect(try Self.options(nil, nil).events.isEmpty)
        let all = try Self.options("0.6,door=0.9", "3/5, gate = 2/3").events
        #expect(all.standard.map { [$0.threshold, Double($0.hits), Double($0.window)] } == [0.6, 3, 5])
        #expect(all.rule("door").map { [$0.threshold, Double($0.hits), Double($0.window)] } == [0.9, 3, 5])
        #expect(all.rule("gate").map { [$0.threshold, Double($0.hits), Double($0.window)] } == [0.6, 2, 3])
        let some = try Self.options("door=1", nil).events
        #expect(some.standard == nil && some.rule("gate") == nil && some.rule("door")?.threshold == 1)
    }

    @Test("With Home Assistant all sensors have events, and pictures of them")
    func homeAssistant() throws {
        let options = try Settings(options: [.homeAssistant: "true"]).aggregatorOptions
        #expect(options.homeAssistant && options.takesSnapshots && options.events.standard == EventRule())
    }

    @Test(
        "What is no number from 0 to 1, or no majority, is told with what it may be",
        arguments: [
            (Setting.threshold, "1.1"), (.threshold, "-0.1"), (.threshold, "nan"), (.threshold, ""),
            (.threshold, "0.5,0.6"), (.threshold, "a/b=0.5"), (.threshold, "door=0.5,door=0.6"), (.threshold, "door="),
            (.stable, "5/3"), (.stable, "1/2"), (.stable, "0/1"), (.stable, "3/5/7"), (.stable, "51/101"),
            (.stable, "3"),
        ])
    func mistakes(_ setting: Setting, _ text: String) throws {
        let error = #expect(throws: SettingsError.self) { try Settings(options: [setting: text]) }
        #expect(error?.description.contains(setting == .threshold ? "0.6,door=0.8" : "3/5,door=2/3") == true)
    }
}
