import FoundationEssentials
import LCPModels
public import LCPWire
import Platform

/// The paper's experiment, written down so that anyone can repeat it: networks, ways to share them, devices and links.
public struct SpeedupExperiment: Sendable, Codable {
    /// Under which conditions all runs are measured.
    public struct Setting: Sendable, Codable, Hashable {
        /// For example `wired`, unique in the experiment.
        public var name: String
        /// For people.
        public var about: String
        /// Of the devices.
        public var profile: String
        /// In place of the profile's.
        public var delayMilliseconds: Double?
        /// In place of the profile's.
        public var memoryMiB: Int?
        /// Whether all devices share one medium.
        public var shared: Bool?
        /// How much slower everything goes: see ``LabPace/dilation``.
        public var dilation: Double?
        /// The runs that are measured; all where nil.
        public var only: [String]?
        /// What computes the network on every device; nil for its processor.
        public var array: SystolicArray?

        enum CodingKeys: String, CodingKey, CaseIterable {
            case name, about, profile, shared, dilation, only, array
            case delayMilliseconds = "delay_ms"
            case memoryMiB = "memory_mib"
        }
    }

    /// The array of `Hardware/`, in eight bits: a frame takes the time of its clocks, and numbers that are 0 are sent.
    public struct SystolicArray: Sendable, Codable, Hashable {
        public var rows: Int
        public var columns: Int
        public var megahertz: Double

        enum CodingKeys: String, CodingKey, CaseIterable {
            case rows, columns
            case megahertz = "mhz"
        }

        var name: String { "array \(rows)x\(columns), \(megahertz) MHz" }
    }

    public enum Way: String, Sendable, Codable, Hashable {
        /// The whole network on one device.
        case original
        /// The whole network on every device, a frame for each.
        case dataParallel = "data-parallel"
        /// Branches that never talk to each other.
        case lcp
        case modelParallel = "model-parallel"
        case splitNet = "splitnet"
    }

    /// One network, shared in one way.
    public struct Run: Sendable, Codable, Hashable {
        /// For example `alexnet-split8`, unique in the experiment.
        public var name: String
        public var network: String
        public var way: Way
        /// How many devices compute.
        public var devices: Int
        /// How much wider branches are than their share, per cent.
        public var fatten: Int?
        /// What the paper measured, milliseconds a frame.
        public var paperMilliseconds: Double?
        /// What the paper measured, joules a frame over all devices.
        public var paperJoules: Double?
        /// Frames that are measured one by one.
        public var frames: Int?
        /// How much slower everything goes, where this machine could not do the messages of all devices in time.
        public var dilation: Double?

        enum CodingKeys: String, CodingKey, CaseIterable {
            case name, network, way, devices, fatten, frames, dilation
            case paperMilliseconds = "paper_ms"
            case paperJoules = "paper_j"
        }
    }

    /// `speedup`.
    public var kind: String
    public var name: String
    public var title: String
    /// For people: what is compared and why.
    public var about: String
    /// Frames that are measured one by one, where a run says nothing else.
    public var frames: Int
    /// A file of profiles in place of the program's own; where it is no whole path, from the experiment's folder.
    public var profiles: String?
    public var settings: [Setting]
    public var runs: [Run]
    /// Networks and splits whose compute alone is compared: names, and numbers of branches.
    public var compute: [String]?

    fileprivate enum Key: String, CodingKey, CaseIterable {
        case kind, name, title, about, frames, profiles, settings, runs, compute
    }

    /// Whether a file is an experiment of this kind.
    public static func isOne(_ path: String) -> Bool {
        struct Kind: Decodable { var kind: String? }
        guard let bytes = try? FileIO.read(path, limit: 1 << 20) else { return false }
        return (try? JSONDecoder().decode(Kind.self, from: Data(bytes)))?.kind == "speedup"
    }

    /// Reads a file.
    ///
    /// - Throws: ``PipelineError``, one sentence with the file and the reason.
    public init(path: String) throws(PipelineError) {
        do {
            let file = Data(try FileIO.read(path, limit: 1 << 20))
            self = try JSONDecoder().decode(Self.self, from: file)
            if let name = try JSONDecoder().decode(UnknownName.self, from: file).name {
                throw PipelineError(.invalidConfiguration, "\(name.debugDescription) means nothing there")
            }
            if let profiles, !profiles.hasPrefix("/"), let slash = path.lastIndex(of: "/") {
                self.profiles = path[...slash] + profiles
            }
            try validate()
        } catch let error as FileError {
            throw PipelineError(.invalidConfiguration, "\(error)")
        } catch let error as PipelineError {
            throw PipelineError(.invalidConfiguration, "\(path): \(error)")
        } catch {
            throw PipelineError(
                .invalidConfiguration, "\(path) is no experiment: \(error.reason); see Configs/experiments")
        }
    }

    private func validate() throws {
        func fail(_ text: String) -> PipelineError { PipelineError(.invalidConfiguration, text) }
        guard !settings.isEmpty, !runs.isEmpty else { throw fail("it needs at least one of each: settings, runs") }
        let names = runs.map(\.name)
        guard Set(names).count == names.count, Set(settings.map(\.name)).count == settings.count else {
            throw fail("two runs or two settings have the same name")
        }
        for name in names + settings.map(\.name) {
            guard !name.isEmpty, name.allSatisfy({ $0.isLetter || $0.isNumber || "-_.+".contains($0) }),
                !name.hasPrefix(".")
            else { throw fail("\(name.debugDescription) names no file") }
        }
        guard (3...100_000).contains(frames), runs.allSatisfy({ (3...100_000).contains($0.frames ?? 3) }) else {
            throw fail("3 to 100,000 frames are measured")
        }
        for setting in settings {
            _ = try setting.deviceProfile(in: profiles)
            if let stranger = setting.only?.first(where: { !names.contains($0) }) {
                throw fail("the setting \(setting.name) names the run \(stranger.debugDescription), which there is not")
            }
            guard (1...1000).contains(setting.dilation ?? 1), (0...10_000).contains(setting.delayMilliseconds ?? 0)
            else {
                throw fail("the setting \(setting.name) has a dilation below 1 or an impossible delay")
            }
        }
        for setting in settings where setting.array != nil {
            let ways = runs(of: setting).map(\.way)
            guard ways.allSatisfy({ $0 == .original || $0 == .lcp }) else {
                throw fail("the setting \(setting.name) has arrays, which run whole networks and branches only")
            }
            guard let clock = setting.array?.megahertz, (1...10_000).contains(clock) else {
                throw fail("the setting \(setting.name) has arrays with a clock that is not from 1 to 10,000 MHz")
            }
        }
        for run in runs { try check(run, fail) }
        for name in compute ?? [] { _ = try Network.named(name) }
    }

    private func check(_ run: Run, _ fail: (String) -> PipelineError) throws {
        let network = try Network.named(run.network)
        guard (1...1000).contains(run.dilation ?? 1) else { throw fail("the run \(run.name) has a dilation below 1") }
        guard (1...LabLayout.maximumDevices).contains(run.devices), run.way != .original || run.devices == 1 else {
            throw fail("the run \(run.name) cannot have \(run.devices) devices")
        }
        switch run.way {
        case .original, .dataParallel: break
        case .lcp: _ = try network.split(into: run.devices, fattening: .init(integerLiteral: run.fatten ?? 0))
        case .modelParallel: _ = try SharedNetwork(.modelParallel, network, devices: run.devices).programs()
        case .splitNet: _ = try SharedNetwork(.splitNet, network, devices: run.devices).programs()
        }
    }

    /// The runs of a setting.
    public func runs(of setting: Setting) -> [Run] {
        runs.filter { setting.only?.contains($0.name) ?? true }
    }
}

/// The first name in an experiment's file that means nothing.
private struct UnknownName: Decodable {
    let name: String?

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: KeyNames.Key.self)
        func stranger(in list: String, to known: [String]) throws -> String? {
            try container.decode([KeyNames].self, forKey: .init(stringValue: list)).lazy
                .compactMap { $0.stranger(to: known) }.first
        }
        name =
            try KeyNames(from: decoder).stranger(to: SpeedupExperiment.Key.allCases.map(\.rawValue))
            ?? stranger(in: "settings", to: SpeedupExperiment.Setting.CodingKeys.allCases.map(\.rawValue))
            ?? stranger(in: "runs", to: SpeedupExperiment.Run.CodingKeys.allCases.map(\.rawValue))
    }
}

extension SpeedupExperiment.Setting {
    /// The profile as the setting has it.
    ///
    /// - Parameter file: where profiles stand; nil for those that come with the program.
    func deviceProfile(in file: String?) throws(PipelineError) -> DeviceProfile {
        var result = try DeviceProfile.named(profile, in: file)
        if let delayMilliseconds { result.link.delayMilliseconds = delayMilliseconds }
        if let memoryMiB { result.memoryMiB = memoryMiB }
        return result
    }
}
