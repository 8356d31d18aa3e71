import Glibc
import LCPWire
package import Platform

extension Lab {
    /// Where the broker listens, and where relays do on their devices.
    static let brokerPort = 1883
    static let relayPort = 1884

    /// Starts a program on a device. It ends with this process.
    ///
    /// - Throws: `ProcessError`.
    package func start(
        _ device: LabDevice, _ command: [String], inherited: Int32 = -1, output: ChildProcess.Output = .discarded,
        errorOutput: ChildProcess.Output = .discarded, hiding: [String] = []
    ) throws -> ChildProcess {
        let command = wrapper(device) + command
        return try ChildProcess(
            executable: command[0], arguments: Array(command[1...]), inherited: inherited, output: output,
            errorOutput: errorOutput, hiding: hiding)
    }

    /// Starts a relay to the broker's device.
    func startRelay(
        on device: LabDevice, brokerPort: Int = Lab.brokerPort, delay: Double, lcp: String
    ) throws -> ChildProcess {
        try start(
            device,
            [
                lcp, "lab", "relay", "--broker", "mqtt://\(layout.address(.broker)):\(brokerPort)", "--port",
                "\(Self.relayPort)", "--delay", "\(delay)",
            ])
    }
}

extension Lab {
    /// Makes this process a program on a device.
    ///
    /// - Returns: why that is not possible; it does not return otherwise.
    public func become(_ command: [String], on device: LabDevice) -> String {
        let command = wrapper(device) + command
        var pointers = command.map { strdup($0) }
        pointers.append(nil)
        // What this program blocks or ignores, the other does not know.
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
        signal(SIGPIPE, SIG_DFL)
        if let program = pointers[0] { execvp(program, pointers) }
        return "cannot start \(command[0]): \(String(cString: strerror(errno)))"
    }
}
