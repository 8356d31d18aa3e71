import Images
import LCPLocal
public import LCPModels
import LCPWire
import Platform

/// What a ``Planner`` has to know, measured on this machine.
public struct PlanMeasurement: Sendable {
    public var planner: Planner
    public var pace: LabPace

    /// Measures a profile's benchmark, the network in one piece and in branches, and its frames as pixels and as JPEG.
    ///
    /// - Parameters:
    ///   - pictures: a folder; nil for synthetic photographs.
    ///   - progress: told the part that is done, and what is measured next.
    /// - Throws: ``NetworkError``, `InferenceError`, `CancellationError`.
    public static func measure(
        _ network: Network, _ profile: DeviceProfile, devices: Int, pictures: String? = nil,
        progress: (Double, String) -> Void
    ) throws -> PlanMeasurement {
        var counts = [1]
        while counts[counts.count - 1] * 2 <= devices { counts.append(counts[counts.count - 1] * 2) }
        if counts[counts.count - 1] != devices { counts.append(devices) }
        let wanted = counts.flatMap { count in (count == 1 ? [0] : [0, 40]).map { (branches: count, fatten: $0) } }
        var (paces, splits): ([LabPace], [Planner.Split]) = ([], [])
        for (index, (branches, fatten)) in wanted.enumerated() {
            try Task.checkCancellation()
            progress(Double(index) / Double(wanted.count), "\(network.name) in \(branches) branches")
            guard let split = try? network.split(into: branches, fattening: .init(integerLiteral: fatten)) else {
                continue
            }
            let pace = try LabPace.measure(profile, seconds: 0.4)
            paces.append(pace)
            let time = try NetworkTime.measure(split, seconds: 0.4).milliseconds
            splits.append(
                .init(
                    branches: branches, fatten: fatten,
                    // As it would be were this machine as fast as at the first of them.
                    networkMilliseconds: time * pace.slowness / paces[0].slowness,
                    outputs: try split.outputCount(of: 0),
                    joinMultiplications: try split.joinMultiplications))
        }
        return PlanMeasurement(
            planner: Planner(
                link: profile.link, slowness: paces[0].slowness, devices: devices,
                frames: try frames(network.input, pictures), splits: splits),
            pace: paces[0])
    }

    private static func frames(_ input: FeatureMapShape, _ pictures: String?) throws -> [Planner.FrameCost] {
        let raw = Planner.FrameCost(
            encoding: "raw", bytes: 160 + input.elementCount, encodeMilliseconds: 0, decodeMilliseconds: 0)
        guard input.channels == 1 || input.channels == 3 else { return [raw] }
        let images = try LabPictures.load(pictures, input)
        var (bytes, encode): ([Double], [Double]) = ([], [])
        var files: [[UInt8]] = []
        for image in images {
            let begin = ContinuousClock.now
            files.append(try image.jpeg(quality: 80))
            encode.append((.now - begin).milliseconds)
            bytes.append(Double(160 + files[files.count - 1].count))
        }
        return [
            raw,
            Planner.FrameCost(
                encoding: "jpeg:80", bytes: Int(bytes.mean), encodeMilliseconds: encode.mean,
                decodeMilliseconds: try LabPictures.decodeMillisecondsPerByte(files, input) * bytes.mean),
        ]
    }
}
