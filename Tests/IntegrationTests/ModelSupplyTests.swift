import LCPWire
import Foundation
import LCPModels
import MQTT
import Platform
import Testing

@testable import LCPPipeline

/// How a device gets its model from a broker where something is wrong.
@Suite struct ModelSupplyTests {
    /// A device with a cache of its own, a broker, and a model that is offered and not pushed yet.
    final class Device: Sendable {
        let broker: TestBroker
        let folder = NSTemporaryDirectory() + "lcp-supply-\(UUID().uuidString)"
        let session: RoleSession
        let supply: ModelSupply
        let client: MQTTClient
        let bundle: ModelBundle
        let offer: ModelOffer

        init(patience: Duration = .seconds(10)) async throws {
            broker = try TestBroker()
            bundle = try ModelBundle(path: "\(Repository.root.path)/Models/lenet-split2")
            offer = try ModelOffer(bundle, chunkBytes: 4096)
            session = try RoleSession(
                PipelineConfiguration(mqtt: try broker.configuration(), pipeline: "supply"),
                status: RoleSession.status(.worker, id: "w"))
            supply = ModelSupply(session, cache: ModelCache(path: folder), patience: patience) { _ in }
            try await session.client.connect()
            client = try await broker.connect()
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        func pieces(_ file: ModelOffer.File) throws -> [[UInt8]] {
            let bytes = try FileIO.read("\(bundle.path)/\(file.name)")
            return stride(from: 0, to: bytes.count, by: 4096).map { Array(bytes[$0..<min(bytes.count, $0 + 4096)]) }
        }

        func publish(_ pieces: [[UInt8]], _ file: ModelOffer.File) async throws {
            for (number, piece) in pieces.enumerated() {
                try await client.publish(
                    piece, to: session.topics.modelBlob(file.sha256, chunk: number), qos: .atLeastOnce, retain: true)
            }
        }

        func close() async {
            await session.client.close()
            await client.close()
        }
    }

    @Test("A model whose files the broker does not have is given up in one sentence")
    func missingFiles() async throws {
        let device = try await Device(patience: .milliseconds(200))
        let error = await #expect(throws: PipelineError.self) {
            try await device.supply.fetch(device.offer, branches: [0])
        }
        #expect(
            error?.description
                == "the broker does not have model.json of lenet-split2: push the model again with lcp model push")
        await device.close()
    }

    @Test("A damaged piece is waited for again, and a piece under a name that is none is ignored")
    func damagedPiece() async throws {
        let device = try await Device()
        for file in device.offer.files.dropLast() { try await device.publish(try device.pieces(file), file) }
        let last = try #require(device.offer.files.last)
        var pieces = try device.pieces(last)
        let good = pieces[0]
        pieces[0][7] ^= 1
        try await device.publish(pieces, last)
        let stray = device.session.topics.modelBlob(last.sha256, chunk: 0) + "x"
        try await device.client.publish([1], to: stray, qos: .atLeastOnce, retain: true)
        async let bundle = device.supply.fetch(device.offer, branches: [])
        // Only the right pieces make an end of it.
        pieces[0] = good
        let path = "\(device.folder)/\(device.offer.model)/\(last.name)"
        for _ in 0..<2000 where !FileManager.default.fileExists(atPath: path) {
            try await device.publish(pieces, last)
        }
        #expect(try await bundle.hash == device.bundle.hash)
        #expect(try FileIO.read(path) == pieces.flatMap(\.self))
        await device.close()
    }

    @Test("A file that was damaged on disk is fetched again")
    func damagedOnDisk() async throws {
        let device = try await Device()
        for file in device.offer.files { try await device.publish(try device.pieces(file), file) }
        _ = try await device.supply.fetch(device.offer, branches: [])
        let file = device.offer.files[1]
        let path = "\(device.folder)/\(device.offer.model)/\(file.name)"
        let right = try FileIO.read(path)
        var wrong = right
        wrong[wrong.count / 2] ^= 1
        try FileIO.write(wrong, to: path)
        _ = try await device.supply.fetch(device.offer, branches: [])
        #expect(try FileIO.read(path) == right)
        await device.close()
    }
}
