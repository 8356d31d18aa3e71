import LCPPipeline
import LCPWire
import Testing

@testable import lcp

@Suite struct StatusTableTests {
    private static func status(_ role: Role, _ id: String, _ json: String = "") -> RoleStatus? {
        RoleStatus(
            Array(#"{"state":"ready","role":"\#(role.rawValue)","id":"\#(id)","birth":"1"\#(json)}"#.utf8))
    }

    private static func overview(_ json: String = "") throws -> PipelineOverview {
        var overview = PipelineOverview()
        let model = #","model":"lenet-split2","model_hash":"aa","branches":2"# + json
        overview.add(try #require(status(.sensor, "door")))
        overview.add(try #require(status(.worker, "a-worker-with-a-long-name", #","serves":[0]"# + model)))
        overview.add(try #require(status(.worker, "w1", #","serves":[1]"# + model)))
        overview.add(try #require(status(.aggregator, "hub", model)))
        return overview
    }

    private static func report(_ overview: inout PipelineOverview, _ uptime: Int, _ more: String = "") {
        let json = #"{"uptime_s":\#(uptime),"frames":\#(uptime * 10),"dropped":{"late":2,"retained":3}\#(more)}"#
        for (role, id) in [
            ("sensor", "door"), ("worker", "a-worker-with-a-long-name"), ("worker", "w1"), ("aggregator", "hub"),
        ] { overview.add(statistics: Array(json.utf8), role: role, id: id) }
    }

    @Test("The table fits a terminal of any width, and leaves out what matters least first")
    func widths() throws {
        var overview = try Self.overview()
        Self.report(&overview, 5, #","compute_p50_ms":0.31,"queue_p50_ms":0.02,"incomplete":1"#)
        #expect(!overview.hasRates)
        Self.report(&overview, 10, #","compute_p50_ms":0.31,"queue_p50_ms":0.02,"incomplete":1"#)
        #expect(overview.hasRates)
        let table = StatusTable(overview, "lcp/p")
        for columns in [120, 80, 60, 40] {
            let lines = table.text(columns: columns).split(separator: "\n")
            #expect(lines.filter { $0.count > columns } == [])
        }
        let wide = table.text(columns: 120)
        #expect(wide.contains("lcp/p runs lenet-split2") && wide.contains("queue ms") && wide.contains("10.0"))
        #expect(!table.text(columns: 80).contains("queue ms") && table.text(columns: 80).contains("frames/s"))
    }

    @Test("A pipeline that answers nobody says so, and why") func silent() throws {
        var overview = PipelineOverview()
        overview.add(try #require(Self.status(.worker, "w", #","serves":[0],"branches":1"#)))
        let words = "lcp/p answers nothing: no aggregator is ready"
        #expect(StatusTable(overview, "lcp/p").text(columns: .max).contains(words))
        let well = try Self.overview()
        #expect(!StatusTable(well, "lcp/p").text(columns: .max).contains("answers nothing"))
    }

    @Test("Who is known from what the broker keeps only counts until everybody could be heard, and not after that")
    func ghosts() throws {
        var overview = PipelineOverview()
        overview.add(try #require(Self.status(.aggregator, "hub", #","branches":1"#)), isKept: true)
        overview.add(
            try #require(Self.status(.worker, "w", #","serves":[0],"branches":1,"model_hash":"a""#)), isKept: true)
        #expect(overview.health.0 == .well && !overview.isHeard)
        overview.trustsBroker = false
        #expect(overview.health.0 == .silent)
        #expect(StatusTable(overview, "lcp/p").text(columns: 80).contains("nothing is heard of worker w"))
        overview.add(statistics: Array(#"{"uptime_s":5,"frames":1,"dropped":{}}"#.utf8), role: "worker", id: "w")
        overview.add(try #require(Self.status(.aggregator, "hub", #","branches":1"#)))
        #expect(overview.health.0 == .well && overview.isHeard)
    }

    @Test("Which of several aggregators answers which sensor is told below the table")
    func shares() throws {
        var overview = try Self.overview()
        #expect(overview.shares.isEmpty)
        for id in ["a0", "a1"] { overview.add(try #require(Self.status(.aggregator, id, #","buckets":16"#))) }
        for id in ["s0", "s1", "s5", "s2", "s3", "s4"] { overview.add(try #require(Self.status(.sensor, id))) }
        let text = StatusTable(overview, "lcp/p").text(columns: .max)
        #expect(text.contains("aggregator a0 answers s0, s1, s2, s3 and 1 more"), "\(text)")
        #expect(text.contains("aggregator a1 answers door, s5"), "\(text)")
        #expect(overview.shares.flatMap(\.sensors).sorted() == ["door", "s0", "s1", "s2", "s3", "s4", "s5"])
    }

    @Test("Who is missing, what came with lcp, and cameras without lcp are told below the table")
    func notes() throws {
        var overview = try Self.overview(#","fallback":true"#)
        overview.add(try #require(Self.status(.worker, "w1", #","serves":[]"#)))
        Self.report(&overview, 5, #","bare_sensors":{"gate":"2026-02-03T04:05:06.789Z"}"#)
        let text = StatusTable(overview, "lcp/p").text(columns: .max)
        #expect(text.contains("nobody runs branch 1: start another worker"), "\(text)")
        #expect(text.contains("no model was pushed to lcp/p: push yours with lcp model push"), "\(text)")
        #expect(
            text.contains("gate sends pictures without lcp, and was answered last at 2026-02-03T04:05:06.789Z"),
            "\(text)")
        #expect(text.contains("lenet-split2 (came with lcp)"), "\(text)")
    }
}
