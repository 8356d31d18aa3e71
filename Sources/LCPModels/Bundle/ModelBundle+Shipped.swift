import Glibc

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
        if access("\(name)/checkpoint.safetensors", F_OK) == 0, access("\(name)/model.json", F_OK) != 0 {
            throw ModelBundleError(
                "\(name) has an unfinished training and no model yet: go on with the command that began it and --resume"
            )
        }
        if access("\(name)/model.json", F_OK) == 0 || name.contains("/") { return try ModelBundle(path: name) }
        if let path = ShippedFiles.path("Models/\(name)") { return try ModelBundle(path: path) }
        if (try? Network.named(name)) != nil {
            throw ModelBundleError(
                "\(name) is a network without weights: train it with lcp train \(name), and name the folder that this writes"
            )
        }
        throw ModelBundleError(
            "there is no model \(name): neither a folder here nor one that came with lcp; a shipped model stands in Models/ "
                + "beside the program, in ../share/lcp, or in the folder that LCP_HOME names")
    }
}
