import Glibc
public import LCPModels

/// Finds the files that come with the program: the shipped models and the brokers' configurations.
///
/// In this order: the folder that the environment's `LCP_HOME` names; the executable's folder; `../share/lcp` beside it, where
/// `make install` puts them; and the folders above the executable, for a program that was built in its checkout.
public enum ShippedFiles {
    /// The path of a shipped file or folder, or nil.
    public static func path(_ name: String) -> String? {
        candidates.lazy.map { "\($0)/\(name)" }.first { access($0, R_OK) == 0 }
    }

    /// The folders that are looked in.
    static var candidates: [String] {
        var result: [String] = []
        if let home = getenv("LCP_HOME") { result.append(String(cString: home)) }
        if let executable = executablePath, let slash = executable.lastIndex(of: "/") {
            var folder = executable[..<slash]
            result += [String(folder), "\(folder)/../share/lcp"]
            while let above = folder.lastIndex(of: "/"), above != folder.startIndex {
                folder = folder[..<above]
                result.append(String(folder))
            }
        }
        return result
    }

    /// The program's own file.
    public static var executablePath: String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension ModelBundle {
    /// The names of the models that came with the program, sorted.
    public static var shippedNames: [String] {
        guard let folder = ShippedFiles.path("Models"), let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix("."), access("\(folder)/\(name)/model.json", F_OK) == 0 { names.append(name) }
        }
        return names.sorted()
    }

    /// Opens a bundle by its path, or a shipped one by its name, such as `lenet-split4`.
    ///
    /// - Throws: ``ModelBundleError``, with the folders that were looked in.
    public static func find(_ name: String) throws -> ModelBundle {
        if access("\(name)/model.json", F_OK) == 0 || name.contains("/") { return try ModelBundle(path: name) }
        if let path = ShippedFiles.path("Models/\(name)") { return try ModelBundle(path: path) }
        if (try? Network.named(name)) != nil {
            throw PipelineError(
                "\(name) is a network without weights: train it with lcp train \(name), and name the folder that this writes")
        }
        throw PipelineError(
            "there is no model \(name): neither a folder here nor one that came with lcp; a shipped model stands in Models/ "
                + "beside the program, in ../share/lcp, or in the folder that LCP_HOME names")
    }
}
