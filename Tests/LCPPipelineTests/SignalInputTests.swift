import LCPModels
import LCPWire
import Signals
import Tensors
import Testing

@testable import LCPPipeline

@Suite("Inputs of a model for numbers")
struct SignalInputTests {
    private let decoder: InputDecoder = {
        var preprocessing = ModelManifest.Preprocessing(mean: [0, 0], standardDeviation: [1, 1])
        preprocessing.signal = Signal(fields: ["a", "b"])
        return InputDecoder(shape: .init(height: 1, width: 3, channels: 2), preprocessing: preprocessing)
    }()

    private func reason(_ bytes: [UInt8]) -> String? {
        do {
            let input = try bytes.withUnsafeBytes { try decoder.decode($0).1 }
            guard case .pixels = input else { return "other" }
            return nil
        } catch { return (error as? InputError)?.reason ?? "other" }
    }

    private func bytes(_ numbers: [Float]) -> [UInt8] { numbers.withUnsafeBytes { Array($0) } }

    @Test("FP32 in a message or alone is taken as its source has it")
    func taken() throws {
        let numbers = bytes([1, 2, 3, 4, 5, 6])
        #expect(reason(numbers) == nil)
        #expect(reason(try message(.fp32, numbers)) == nil)
    }

    private func message(_ dtype: DType, _ data: [UInt8]) throws -> [UInt8] {
        TensorMessage.encode(
            .init(kind: .input, dtype: dtype, shape: [1, 3, 2], session: 1, frame: 0, captureTime: 0, label: -1),
            data: data)
    }

    @Test("Pixels, pictures, other sizes and numbers that are not finite are dropped by their reasons")
    func dropped() throws {
        #expect(reason([1, 2, 3, 4, 5, 6]) == "wrong_size")
        #expect(reason(try message(.uint8, [1, 2, 3, 4, 5, 6])) == "wrong_type")
        #expect(reason([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0]) == "wrong_type")
        #expect(reason(bytes([1, 2, .nan, 4, 5, 6])) == "not_finite")
        #expect(reason(try message(.fp32, bytes([1, 2, 3, 4, 5, .infinity]))) == "not_finite")
    }
}
