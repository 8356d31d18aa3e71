import LCPModels
import Platform

/// The folder that a command writes a bundle to.
enum BundleFolder {
    /// - Throws: ``CommandError`` where a bundle is in it that is not to be replaced.
    static func checkFree(_ folder: String, force: Bool) throws {
        guard force || !FileIO.exists("\(folder)/model.json") else {
            throw CommandError(
                "\(folder) holds a model bundle already: name another folder, or give --force to replace it")
        }
    }

    /// Makes it, and keeps other processes out.
    ///
    /// - Returns: what keeps them out, as long as it is used.
    /// - Throws: ``CommandError`` where another process is at work in it, ``ModelBundleError`` where it cannot be used.
    static func lock(_ folder: String) throws -> FolderLock {
        guard let lock = try ModelBundle.prepareFolder(folder) else {
            throw CommandError("another process is at work in \(folder): wait for it, or name another folder")
        }
        return lock
    }
}
