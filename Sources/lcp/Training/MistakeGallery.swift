import Charts
import Foundation
import Images
import LCPDatasets
import LCPEvaluation
import LCPModels

/// A page with the pictures that a model is wrong on, for looking: one HTML file, the pictures in it.
struct MistakeGallery {
    private let labels: [String]
    private let shape: FeatureMapShape
    private var sections: [String] = []
    private let model: String

    /// - Throws: ``CommandError`` for a model whose input is no picture.
    init(_ bundle: ModelBundle) throws(CommandError) {
        shape = bundle.network.input
        labels = bundle.manifest.labels
        model = bundle.manifest.name
        guard [1, 3].contains(shape.channels) else {
            throw CommandError("--html shows pictures, and \(model) takes \(shape), which is none: leave it out")
        }
    }

    /// Adds the mistakes on one set of images.
    mutating func add(_ evaluation: Evaluation, data: String, pixels: [UInt8]) throws {
        let size = shape.elementCount
        let wrong = evaluation.images - Int((evaluation.top1 * Double(evaluation.images)).rounded())
        let shown = evaluation.mistakes
        let figures = try shown.map { mistake in
            let image = Image(
                height: shape.height, width: shape.width, channels: shape.channels,
                pixels: Array(pixels[mistake.image * size..<(mistake.image + 1) * size]))
            let isSmall = max(shape.height, shape.width) <= 96
            let bytes = try isSmall ? image.png() : image.jpeg(quality: 85)
            let (truth, answer) = (Markup.escaped(labels[mistake.truth]), Markup.escaped(labels[mistake.prediction]))
            return """
                <figure><img src="data:image/\(isSmall ? "png" : "jpeg");base64,\(Data(bytes).base64EncodedString())" \
                alt="image \(mistake.image)"><figcaption><b>\(answer)</b> \(percent(Double(mistake.confidence), digits: 0))\
                <br>is \(truth)<br><small>image \(mistake.image)</small></figcaption></figure>
                """
        }
        var rows: [String] = []
        for pair in evaluation.worstConfusions(10) {
            let all = evaluation.confusion[pair.truth].reduce(0, +)
            rows.append(
                "<tr><td>\(Markup.escaped(labels[pair.truth]))</td><td>\(Markup.escaped(labels[pair.prediction]))</td>"
                    + "<td>\(pair.images)</td><td>\(percent(Double(pair.images) / Double(max(1, all))))</td></tr>")
        }
        sections.append(
            """
            <h2>\(Markup.escaped(data))</h2>
            <p>\(percent(evaluation.top1)) of \(evaluation.images) images right, \(wrong) wrong\
            \(shown.count < wrong ? "; here are the \(shown.count) that it was surest of" : "").</p>
            <div class="gallery">\(figures.joined(separator: "\n"))</div>
            """
                + (rows.isEmpty
                    ? ""
                    : "<h3>Most confused</h3><table><tr><th>is</th><th>taken for</th><th>images</th><th>of its images</th></tr>"
                        + rows.joined(separator: "\n") + "</table>"))
    }

    var html: String {
        let title = "\(Markup.escaped(model)): where it is wrong"
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>\(title)</title><style>\(Self.style)</style></head><body>
            <h1>\(title)</h1>
            \(sections.joined(separator: "\n"))
            </body></html>

            """
    }

    private static let style = """
        :root { color-scheme: light dark; }
        body { font: 16px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
        .gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: 1rem; }
        figure { margin: 0; font-size: 13px; overflow-wrap: anywhere; }
        img { width: 100%; image-rendering: pixelated; border-radius: 4px; }
        table { border-collapse: collapse; } th, td { padding: 0.2rem 0.8rem 0.2rem 0; text-align: left; }
        """
}
