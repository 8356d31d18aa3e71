import Charts
import LCPModels
import LCPSearch

/// What a search came to, for people and as JSON.
struct SearchReport: Encodable {
    struct Shape: Encodable {
        var shape: String
        var branches: Int
        var parameters: Int
        var branch_macs: Int
        /// On this machine, one thread.
        var branch_ms: Double
        var memory_bytes: Int
        var sent_bytes: Int
        /// On the images set aside, after the short trainings.
        var short_top1: Double
        /// The same after the whole recipe; nil where it was not trained by it.
        var top1: Double?
        /// On the first test set; nil where there is none.
        var test_top1: Double?
        var test_one_missing_top1: Double?
        var bundle: String?
    }

    var shapes_tried: Int
    var training_s: Double
    var front: [Shape]
    private let tried: [(macs: Int, accuracy: Double)]

    enum CodingKeys: CodingKey { case shapes_tried, training_s, front }

    init(_ outcome: SearchRun.Outcome, base: Network, folder: String) throws {
        shapes_tried = outcome.members.count
        training_s = outcome.seconds
        tried = outcome.members.filter { $0.rung == ShapeSearch.epochs.count }.map { ($0.macs, $0.accuracy ?? 0) }
        front = try outcome.front.map { number in
            let member = outcome.members[number]
            let network = try member.shape.network(of: base)
            let cost = try network.cost(of: 0)
            let trained = outcome.trained.first { $0.member == number }
            return Shape(
                shape: "\(member.shape)", branches: member.shape.branches, parameters: member.parameters,
                branch_macs: member.macs,
                branch_ms: try BranchTime.milliseconds(network), memory_bytes: cost.memoryBytes,
                sent_bytes: cost.outputBytes, short_top1: member.accuracy ?? 0, top1: trained?.accuracy,
                test_top1: trained?.tested, test_one_missing_top1: trained?.testedOneMissing,
                bundle: trained.map { "\(folder)/\($0.bundle)" })
        }
    }

    var text: String {
        var table = Table(
            ["front", "parameters", "MACs", "ms", "memory", "sends", "short", "whole", "test", "1 missing", "bundle"],
            rightAligned: Set(1...9))
        for shape in front {
            table.add([
                shape.shape, exact(shape.parameters), exact(shape.branch_macs), fixed(shape.branch_ms, digits: 3),
                "\(exact(shape.memory_bytes / 1000)) kB", "\(shape.sent_bytes) B", percent(shape.short_top1),
                shape.top1.map { percent($0) } ?? "", shape.test_top1.map { percent($0) } ?? "",
                shape.test_one_missing_top1.map { percent($0) } ?? "",
                shape.bundle ?? "",
            ])
        }
        return """
            \(shapes_tried) shapes tried, \(duration(training_s)) of training. Right on the images set aside, after the short trainings \
            and after the whole recipe, and on the test set:

            \(table.text)
            """
    }

    var figure: Figure {
        let scale = 1e6
        return Figure(
            title: "Branches that were tried",
            summary:
                "Right on the images set aside after nine epochs, by the multiplications of a branch: all shapes that came so far, "
                + "and those that no other one is better than.",
            rows: [
                [
                    .lines(
                        LineChart(
                            title: "Accuracy and work", x: Axis("million multiplications of a branch"),
                            y: Axis("top-1", format: .percent(1)),
                            series: [
                                .init(
                                    "tried", tried.map { .init(Double($0.macs) / scale, $0.accuracy) }, style: .points),
                                .init(
                                    "front", front.map { .init(Double($0.branch_macs) / scale, $0.short_top1) },
                                    style: .line),
                            ]))
                ]
            ])
    }
}
