import FoundationEssentials
import LCPModels

/// The forms that things have in a checkpoint.
enum Checkpoint {
    static func encode(_ header: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return String(decoding: try encoder.encode(header), as: UTF8.self)
    }

    static func decode<T: Decodable>(_ type: T.Type, _ text: String) throws -> T {
        do { return try JSONDecoder().decode(type, from: Data(text.utf8)) } catch {
            throw TrainingError("it is no checkpoint of lcp, or of another version")
        }
    }

    /// All arrays one after the other.
    static func flat(_ parameters: ModelParameters) -> [Float] {
        var result: [Float] = []
        for layer in parameters.branches.joined() + [parameters.merge] {
            guard let layer else { continue }
            result += layer.weight + layer.bias + layer.runningMean + layer.runningVariance
        }
        return result
    }

    /// The arrays back, with the sizes that `like` has; nil where the numbers are not as many.
    static func parameters(_ flat: [Float], like: ModelParameters) -> ModelParameters? {
        var rest = flat[...]
        func take(_ values: inout [Float]) -> Bool {
            guard rest.count >= values.count else { return false }
            values = Array(rest.prefix(values.count))
            rest = rest.dropFirst(values.count)
            return true
        }
        func take(_ layer: inout LayerParameters) -> Bool {
            take(&layer.weight) && take(&layer.bias) && take(&layer.runningMean) && take(&layer.runningVariance)
        }
        var result = like
        for branch in result.branches.indices {
            for index in result.branches[branch].indices {
                guard var layer = result.branches[branch][index] else { continue }
                guard take(&layer) else { return nil }
                result.branches[branch][index] = layer
            }
        }
        return take(&result.merge) && rest.isEmpty ? result : nil
    }
}
