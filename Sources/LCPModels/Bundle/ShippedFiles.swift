import Glibc
import Platform

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
        if let executable = try? ownProgram(), let slash = executable.lastIndex(of: "/") {
            var folder = executable[..<slash]
            result += [String(folder), "\(folder)/../share/lcp"]
            while let above = folder.lastIndex(of: "/"), above != folder.startIndex {
                folder = folder[..<above]
                result.append(String(folder))
            }
        }
        return result
    }
}
