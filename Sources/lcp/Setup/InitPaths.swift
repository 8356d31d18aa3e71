import Glibc
import Platform

/// Paths that are written into a file: whole ones, because the file lies elsewhere, and such that a service sees.
enum InitPaths {
    static func whole(_ path: String) -> String {
        guard let whole = realpath(path, nil) else { return path }
        defer { free(whole) }
        return String(cString: whole)
    }

    private static let sources = [
        "dir:", "watch:", "file:", "mnist:", "fashion-mnist:", "cifar10:", "cifar100:", "folder:",
    ]

    /// A sensor's source with the whole path of its folder or file.
    static func whole(source: String) -> String {
        guard let form = sources.first(where: source.hasPrefix) else { return source }
        return form + whole(String(source.dropFirst(form.count)))
    }

    /// - Throws: ``CommandError`` for a source that a service cannot read.
    static func checkService(source: String) throws(CommandError) {
        guard source != "stdin" else { throw CommandError("a service has no standard input: choose another source") }
        guard let form = sources.first(where: source.hasPrefix) else { return }
        let path = String(source.dropFirst(form.count))
        try checkService(path)
        guard FileIO.exists(path) else { throw CommandError("there is no \(path)") }
    }

    /// - Throws: ``CommandError`` for a path that a service does not see.
    static func checkService(_ path: String) throws(CommandError) {
        let hidden = ["/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"]
        guard !hidden.contains(where: path.hasPrefix) else {
            throw CommandError("a service sees no home folder and no /tmp: put \(path) below /srv, for example")
        }
    }
}
