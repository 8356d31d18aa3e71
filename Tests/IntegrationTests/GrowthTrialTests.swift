import Foundation
import Testing

/// What measures wants the machine for itself.
extension TrialTests {
    @Test("The growth of a pipeline is measured, and a plan for many pipelines is made of it")
    func growth() async throws {
        let folder = "/tmp/lcp-test-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let profiles = try LabTests.profiles(in: folder)
        let measured = try await run(
            Repository.lcp,
            [
                "bench", "growth", "--branches", "1", "--rounds", "1", "--frames", "100", "--rate", "160",
                "--pipelines", "2", "--seconds",
                "1", "--json",
            ], limit: .seconds(200))
        #expect(measured.status == 0, "\(measured.errors)")
        struct Growth: Decodable {
            struct Check: Decodable {
                var place: String
                var seen: Double
            }
            struct Costs: Decodable { var each_of_two_aggregators: Double }
            var costs: Costs
            var checks: [Check]
        }
        let growth = try JSONDecoder().decode(Growth.self, from: Data(measured.output.utf8))
        #expect(growth.checks.map(\.place) == ["broker", "aggregator", "worker", "broker"])
        #expect(growth.checks.allSatisfy { $0.seen > 0 } && growth.costs.each_of_two_aggregators > 0)
        let costs = "\(folder)/costs.json"
        try Data(measured.output.utf8).write(to: URL(fileURLWithPath: costs))
        let plan = try await run(
            Repository.lcp,
            [
                "plan", "lenet", "--profile", "slow", "--profiles", profiles, "--devices", "4", "--rate", "5",
                "--pipelines", "1000", "--qos", "1", "--costs", costs, "--json",
            ], limit: .seconds(60))
        #expect(plan.status == 0, "\(plan.errors)")
        struct Plan: Decodable {
            struct Need: Decodable { var count: Int }
            struct Needs: Decodable {
                var workers: Need
                var aggregators: Need
                var brokers: Need
            }
            var needs: Needs
        }
        let needs = try JSONDecoder().decode(Plan.self, from: Data(plan.output.utf8)).needs
        #expect(needs.workers.count >= 1000 && needs.aggregators.count >= 1000 && needs.brokers.count >= 1)
    }
}
