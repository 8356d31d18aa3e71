import Testing

@testable import LCPWire

@Suite struct TopicsTests {
    @Test func featuresTopicsAreTakenApart() throws {
        let topics = try Topics(pipeline: "kitchen")
        let parts = try #require(topics.featuresParts(of: topics.features(branch: 3, sensor: "cam")))
        #expect(parts == (3, "cam"))
        for topic in [
            "lcp/kitchen/features/3", "lcp/kitchen/features/x/cam", "lcp/kitchen/features/-1/cam",
            "lcp/kitchen/features/3/a/b",
            "lcp/other/features/3/cam", "lcp/kitchen/features/70000/cam", "",
        ] {
            #expect(topics.featuresParts(of: topic) == nil)
        }
    }

    @Test func namesThatBreakTopicsAreRefused() {
        for name in ["", "a/b", "+", "#", "a b"] { #expect(throws: PipelineError.self) { try Topics(pipeline: name) } }
    }
}
