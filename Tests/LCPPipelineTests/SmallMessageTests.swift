import Images
import LCPModels
import LCPWire
import Tensors
import Testing

@testable import LCPPipeline

/// Pictures in tensor messages on their way in, and small numbers on their way out.
@Suite struct SmallMessageTests {
    static let shape: Shape = [4, 6, 1]
    static let pixels = (0..<24).map { UInt8($0 * 10) }

    static func decode(_ bytes: [UInt8], channels: Int = 1) -> Result<[UInt8], InputError> {
        let decoder = InputDecoder(shape: .init(height: 4, width: 6, channels: channels))
        return bytes.withUnsafeBytes { bytes in
            do throws(InputError) {
                let (identity, input) = try decoder.decode(bytes)
                #expect(identity == FrameIdentity(session: 9, frame: 8, captureTime: 7, label: 6))
                guard case .decoded(let pixels, _) = input else { return .success([]) }
                return .success(pixels)
            } catch {
                return .failure(error)
            }
        }
    }

    static func message(
        _ encoding: TensorMessageHeader.Encoding, _ data: [UInt8], shape: Shape = Self.shape
    ) -> [UInt8] {
        TensorMessage.encode(
            .init(
                kind: .input, dtype: .uint8, shape: shape, session: 9, frame: 8, captureTime: 7, label: 6,
                version2: .init(encoding: encoding)), data: data)
    }

    static func reason(_ bytes: [UInt8], channels: Int = 1) -> String? {
        if case .failure(let error) = decode(bytes, channels: channels) { error.reason } else { nil }
    }

    @Test("A picture in a tensor message keeps the frame's identity and becomes the model's input")
    func pictures() throws {
        let image = Image(height: 4, width: 6, channels: 1, pixels: Self.pixels)
        #expect(try Self.decode(Self.message(.png, try image.png())).get() == Self.pixels)
        #expect(try Self.decode(Self.message(.png, try image.png(), shape: [4, 6])).get() == Self.pixels)
        let pixels = try Self.decode(Self.message(.jpeg, try image.jpeg(quality: 95))).get()
        #expect(zip(pixels, Self.pixels).allSatisfy { abs(Int($0) - Int($1)) < 12 })
    }

    @Test("A picture of another size than its message or the model, or of another kind, is refused")
    func wrongPictures() throws {
        let other = try Image(height: 4, width: 7, channels: 1, pixels: .init(repeating: 0, count: 28)).png()
        let right = try Image(height: 4, width: 6, channels: 1, pixels: Self.pixels).png()
        #expect(Self.reason(Self.message(.png, other)) == "wrong_shape")
        #expect(Self.reason(Self.message(.png, other, shape: [4, 7, 1])) == "wrong_shape")
        #expect(Self.reason(Self.message(.jpeg, right)) == "bad_jpeg")
        #expect(Self.reason(Self.message(.png, Array(right.dropLast(20)))) == "bad_png")
        #expect(Self.reason(Self.message(.png, [0])) == "bad_png")
        // A model of two channels takes no pictures, and a message that says so is none.
        #expect(Self.reason(Self.message(.png, right, shape: [4, 6, 2]), channels: 2) == "bad_encoding")
    }

    @Test("A picture that claims to be vast is refused before it is decoded")
    func bombs() throws {
        var bomb = try Image(height: 4, width: 6, channels: 1, pixels: Self.pixels).jpeg(quality: 80)
        let frame = try #require(
            bomb.indices.dropLast(9).first { bomb[$0] == 0xFF && bomb[$0 + 1] == 0xC0 })
        // 5,000 × 4,700 pixels are within the limits for any picture.
        bomb.replaceSubrange(frame + 5..<frame + 9, with: [0x13, 0x88, 0x12, 0x5C])
        guard case .failure(let error) = Self.decode(Self.message(.jpeg, bomb)) else {
            Issue.record("a bomb was decoded")
            return
        }
        #expect(error.reason == "wrong_shape" && error.description.contains("4700 × 5000"))
    }

    @Test("Payloads with pictures are told from those without")
    func kinds() throws {
        let picture = try Image(height: 4, width: 6, channels: 1, pixels: Self.pixels).png()
        let raw = TensorMessageHeader(kind: .input, dtype: .uint8, shape: Self.shape, session: 1, frame: 1)
        for (payload, isPicture) in [
            (picture, true), (Self.message(.png, picture), true), (Self.message(.raw, Self.pixels), false),
            (TensorMessage.encode(raw, data: Self.pixels), false), (Self.pixels, false), ([], false),
        ] {
            #expect(payload.withUnsafeBytes { InputDecoder.isPicture($0) } == isPicture)
        }
    }

    static func status(_ role: Role, _ id: String, tensorMessages: Int?) -> RoleStatus {
        var status = RoleStatus(state: .ready, role: role, id: id, birth: "1")
        status.tensorMessages = tensorMessages
        return status
    }

    @Test("Features are small once every aggregator reads that, and FP32 while one does not")
    func featuresWaitForTheAggregators() {
        let format = FeatureFormat(.int8)
        var presence = Presence()
        #expect(format.encoding == .fp32, "nobody is there")
        _ = presence.update(Self.status(.worker, "w", tensorMessages: 2))
        #expect(format.update(presence) == nil && format.encoding == .fp32)
        _ = presence.update(Self.status(.aggregator, "new", tensorMessages: 2))
        #expect(format.update(presence) == "features are sent as int8")
        #expect(format.update(presence) == nil && format.encoding == .int8)
        _ = presence.update(Self.status(.aggregator, "old", tensorMessages: nil))
        #expect(format.update(presence)?.contains("old") == true && format.encoding == .fp32)
        let plain = FeatureFormat(.fp32)
        #expect(plain.update(presence) == nil && plain.encoding == .fp32)
    }
}
