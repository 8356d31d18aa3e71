import Platform
import Signals

/// Sounds in a folder for each class, as WAV files: `wav:FOLDER`, divided and named as ``ClassFolder``.
enum SoundFolder {
    /// The files of each class.
    static func classes(_ folder: String, isTest: Bool) throws(DatasetError) -> ClassFolder {
        try isTest
            ? ClassFolder.evaluation(folder, endings: [".wav"]) : ClassFolder.training(folder, endings: [".wav"])
    }

    /// The windows of all files. A file that is shorter than a window has silence behind it; of a longer one the windows lie side
    /// by side.
    ///
    /// - Parameters:
    ///   - width: frames of a window.
    ///   - logMel: how sound becomes numbers.
    /// - Throws: ``DatasetError``; `CancellationError` where the task is cancelled.
    static func read(_ folder: ClassFolder, width: Int, logMel: LogMel) throws -> LabeledImages {
        var result = LabeledImages(height: logMel.bands, width: width, channels: 1)
        result.signal = Signal(logMel: logMel)
        for (label, files) in folder.files.enumerated() {
            let before = (result.labels.count, result.leftOut.count)
            for file in files {
                try Task.checkCancellation()
                do throws(DatasetError) {
                    for window in try windows(of: file, width: width, logMel: logMel) {
                        window.withUnsafeBytes { result.pixels += $0 }
                        result.labels.append(UInt16(label))
                    }
                } catch { result.leftOut.append(error.description) }
            }
            guard result.labels.count > before.0 else {
                throw DatasetError(
                    "no sound of the class \(folder.classes[label]) can be read; the first: \(result.leftOut[before.1])"
                )
            }
        }
        return result
    }

    /// A sentence for each file that cannot be read.
    static func unreadable(_ files: [String], _ progress: (Double) -> Void) throws -> [String] {
        try files.enumerated().compactMap { index, file in
            try Task.checkCancellation()
            progress(Double(index) / Double(files.count))
            do throws(DatasetError) {
                _ = try windows(of: file, width: 1, logMel: LogMel())
                return nil
            } catch { return error.description }
        }
    }

    private static func windows(of file: String, width: Int, logMel: LogMel) throws(DatasetError) -> [[Float]] {
        do {
            let bytes = try FileIO.read(file, limit: 1 << 28)
            var decoder = SoundDecoder(.wav, rate: logMel.sampleRate)
            decoder.add(bytes)
            var samples = try decoder.samples(isEnd: true)
            guard !samples.isEmpty else { throw SignalError("bad_sound", "it has no sound") }
            let needed = (width - 1) * logMel.hop + logMel.fft
            if samples.count < needed { samples += Array(repeating: 0, count: needed - samples.count) }
            var stream = LogMelStream(logMel)
            stream.add(samples)
            var (frames, windows) = ([[Float]](), [[Float]]())
            while let frame = stream.next() {
                frames.append(frame)
                guard frames.count == width else { continue }
                windows.append((0..<logMel.bands).flatMap { band in frames.map { $0[band] } })
                frames = []
            }
            return windows
        } catch { throw DatasetError("\(file): \(error)") }
    }
}
