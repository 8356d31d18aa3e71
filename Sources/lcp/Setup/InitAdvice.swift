import LCPPipeline
import LCPSensor
import LCPWire
import Platform

/// What somebody who sets up a device has to know about what was chosen.
struct InitAdvice {
    /// The broker's address, or `here`.
    let host: String
    let roles: [Role]
    let source: String?
    let isService: Bool

    var notes: [String] {
        var notes: [String] = []
        if let camera = source.flatMap({ CameraAddress($0) }) {
            let programs = [("ffmpeg", "ffmpeg")] + (camera.kind == .module ? [("rpicam-vid", "rpicam-apps-lite")] : [])
            let missing = programs.filter { ChildProcess.find($0.0) == nil }
            if !missing.isEmpty {
                let names = missing.map(\.0).joined(separator: " and ")
                let packages = missing.map(\.1).joined(separator: " ")
                notes.append(
                    "the camera is read by \(names), which \(missing.count == 1 ? "is" : "are") not there: sudo apt install \(packages)"
                )
            }
        }
        if host == "here" {
            notes.append(
                isService
                    ? "lcp-broker takes the place of mosquitto.service on this device, and asks for no password: everybody who reaches it "
                        + "may publish"
                    : "lcp broker asks for no password: everybody who reaches it may publish")
        } else if host.hasSuffix("//localhost") || host == "localhost" {
            notes.append(
                "the broker on localhost is for this device alone, as mosquitto comes: for several, choose --broker here on one of them, "
                    + "and its address on the others")
        }
        if !roles.contains(.aggregator) {
            notes.append(
                "a pipeline needs an aggregator on one of its devices: --role aggregator, or aggregator,worker")
        }
        if !isService, Services.areInstalled { notes.append("services that start with the machine: sudo lcp init") }
        return notes
    }
}
