import Glibc
import Platform

/// The services that the package brings.
enum Services {
    private static let folders = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"]

    static var areInstalled: Bool { folders.contains { FileIO.exists("\($0)/lcp-worker@.service") } }

    /// Whether systemd is what runs this system, as sd_booted(3) finds out.
    static var run: Bool { FileIO.exists("/run/systemd/system") }

    /// Starts units, now and with the machine.
    ///
    /// - Parameter replacesMosquitto: whether the system's own broker, which has the same port, is switched off.
    static func enable(_ units: [String], replacesMosquitto: Bool) throws {
        if replacesMosquitto { try? systemctl(["disable", "--now", "mosquitto.service"]) }
        try systemctl(["enable", "--now"] + units)
    }

    private static func systemctl(_ arguments: [String]) throws {
        guard let program = ChildProcess.find("systemctl") else {
            throw CommandError("there is no systemctl on this system: start the roles by hand")
        }
        let child = try ChildProcess(executable: program, arguments: arguments, output: .inherited)
        while child.poll() == nil { usleep(20_000) }
        guard child.poll() == 0 else {
            throw CommandError("systemctl \(arguments.joined(separator: " ")) failed: see above")
        }
    }
}
