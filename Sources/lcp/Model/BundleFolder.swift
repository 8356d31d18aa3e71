import LCPModels
import Platform

/// The folder that a command writes a bundle to.
enum BundleFolder {
    /// - Parameter source: a bundle that is read, which is not written over.
    /// - Throws: ``CommandError`` where a bundle is in it that is not to be replaced.
    static func checkFree(_ folder: String, force: Bool, source: ModelBundle? = nil) throws {
        if let source, FileIO.isSame(folder, source.path) {
            throw CommandError("\(folder) holds the model that is read: name another folder for the new one")
        }
        guard force || !FileIO.exists("\(folder)/model.json") else {
            throw CommandError(
                "\(folder) holds a model bundle already: name another folder, or give --force to replace it")
        }
    }

    /// Makes it, and keeps other processes out.
    ///
    /// - Parameter hasTraining: whether a training that was cut short may lie there.
    /// - Returns: what keeps them out, as long as it is used.
    /// - Throws: ``CommandError`` where another process is at work in it, ``ModelBundleError`` where it cannot be used.
    static func lock(_ folder: String, hasTraining: Bool = false) throws -> FolderLock {
        guard let lock = try ModelBundle.prepareFolder(folder, besides: hasTraining ? [checkpoint] : []) else {
            throw CommandError("another process is at work in \(folder): wait for it, or name another folder")
        }
        // Of a writer that was killed.
        FileIO.removeHalfWritten(in: folder)
        return lock
    }

    /// Gives a training up that was cut short in a folder.
    static func removeTraining(_ folder: String) { FileIO.remove("\(folder)/\(checkpoint)") }

    /// Tells how a training goes on that was stopped, where an epoch of it is there.
    static func tellStopped(_ folder: String) {
        guard FileIO.exists("\(folder)/\(checkpoint)") else { return }
        writeErrorLine("stopped: the same command with --resume goes on after the last whole epoch")
    }

    private static let checkpoint = "checkpoint.safetensors"
}
