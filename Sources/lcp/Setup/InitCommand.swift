import ArgumentParser
import Glibc
import LCPModels
import LCPPipeline
import LCPSensor
import LCPSettings
import LCPWire
import Platform

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Set this device up for a pipeline: five questions, a file, and a service that starts.",
        discussion: """
            It writes the pipeline's file, below /etc/lcp for root and below ~/.config/lcp for others, and never over one that is \
            there. For root on a system with systemd, where lcp was installed as a package, it then has the roles start now and \
            with the machine. Every question has a default, and an option that answers it.

            Examples:
              sudo lcp init
              sudo lcp init --yes --pipeline kitchen --broker mqtt://broker.local
              sudo lcp init --yes --pipeline kitchen --broker here --role aggregator
              lcp init --folder . --yes --pipeline kitchen
            """)

    @Option(
        help: ArgumentHelp("The broker's address, or `here` to run one on this device.", valueName: "url"),
        completion: .list(["here"]))
    var broker: String?

    @Option(help: "The pipeline's name: all roles with the same name work together.")
    var pipeline: String?

    @Option(
        help: "What this device does: worker, aggregator or sensor, or several with commas between them.",
        completion: .roles)
    var role: String?

    @Option(help: "A model bundle, where it is not to be the one that is pushed to the pipeline.", completion: .bundle)
    var model: String?

    @Option(help: "This device's name; made from the machine's at the first start by default.")
    var name: String?

    @Option(help: "The user that the broker asks for.")
    var user: String?

    @Option(
        help: ArgumentHelp("The certificates to trust with mqtts://, PEM; the system's by default.", valueName: "file"),
        completion: .file())
    var cafile: String?

    @Option(help: "Where a sensor's frames come from: lcp sensor --help.", completion: .source)
    var source: String?

    @Option(help: ArgumentHelp("Where the file is written.", valueName: "folder"), completion: .directory)
    var folder: String?

    @Flag(help: "Ask nothing: what is not given is the default.")
    var yes = false

    @Flag(inversion: .prefixedNo, help: "Have the roles start now and with the machine, or only write the file.")
    var start = true

    private static let here = "here"

    private static func roles(_ text: String) throws -> [Role] {
        let names = text.split(separator: ",").map { $0.filter { $0 != " " } }
        let roles = names.compactMap(Role.init)
        guard !roles.isEmpty, roles.count == names.count, Set(roles).count == roles.count else {
            throw CommandError(
                "\(text.debugDescription) is no role: write worker, aggregator or sensor, or several with commas between them"
            )
        }
        return roles
    }

    private static func check(_ setting: Setting, _ text: String) throws { _ = try Settings(options: [setting: text]) }

    /// A bundle that a service finds, too.
    private static func bundle(_ text: String) throws -> String {
        let bundle = try ModelBundle.find(text)
        return ModelBundle.shippedNames.contains(text) && !FileIO.exists("\(text)/model.json")
            ? text : InitPaths.whole(bundle.path)
    }

    func run() throws {
        guard yes || isatty(STDIN_FILENO) == 1 else {
            throw CommandError(
                "lcp init asks on a terminal, and there is none here: add --yes, and --broker, --pipeline, --role, --model and "
                    + "--name where their defaults will not do")
        }
        let host = try answer(
            "Where is the broker? An address, or `here` to run one on this device", broker, "mqtt://localhost"
        ) {
            if $0.lowercased() == Self.here { return Self.here }
            guard !$0.contains("?") else {
                throw CommandError(
                    "for example mqtt://192.168.1.10, the first device's address, or `here` on that device itself")
            }
            try Self.check(.broker, $0)
            return $0
        }
        let folder = folder ?? Self.standardFolder
        let isService = geteuid() == 0 && folder == Self.standardFolder && Services.areInstalled
        let isFirst = !FileIO.exists("\(folder)/home.yaml")
        let pipeline = try answer(
            isFirst ? "Which pipeline?" : "Which other pipeline? home is set up already", pipeline,
            isFirst || yes ? "home" : ""
        ) {
            guard !$0.isEmpty else { throw CommandError("write a name, or stop with Ctrl-C") }
            try Self.check(.pipeline, $0)
            // systemd writes other signs of a unit's instance in its own way.
            guard $0.utf8.allSatisfy(Self.isPlain), $0.first?.isLetter == true || $0.first?.isNumber == true else {
                throw CommandError(
                    "\($0.debugDescription) cannot be part of a service's name: use a to z, A to Z, 0 to 9, - and _")
            }
            let path = "\(folder)/\($0).yaml"
            guard !FileIO.exists(path) else {
                throw CommandError(
                    "\(path) is there already, and stays as it is: edit it (a sensor has its `source` below `sensor:`), or take another "
                        + "name for the pipeline; sudo systemctl enable --now lcp-ROLE@\($0) starts one more role with it"
                )
            }
            return $0
        }
        let roles = try answer(
            "What does this device do: worker, aggregator, sensor, or several", role, "worker", Self.roles)
        let model = try answer("Which model? Empty for the one that is pushed to the pipeline", model, "") {
            guard !$0.isEmpty else { return "" }
            let bundle = try Self.bundle($0)
            if isService { try InitPaths.checkService(bundle) }
            return bundle
        }
        let name = try answer("This device's name? Empty for one made from the machine's", name, "") {
            if !$0.isEmpty { try Self.check(.workerName, $0) }
            return $0
        }

        let source = try source(of: roles, isService: isService)
        let isHere = host == Self.here
        var settings: [Setting: String] = [.pipeline: pipeline, .broker: isHere ? "mqtt://localhost" : host]
        if !model.isEmpty { settings[.model] = model }
        if !name.isEmpty { for role in roles { settings[Setting.name(of: role)] = name } }
        if let user { settings[.user] = user }
        if let source { settings[.sensorSource] = source }
        if user != nil { settings[.passwordFile] = "\(pipeline).password" }
        if let cafile {
            guard FileIO.exists(cafile) else { throw CommandError("there is no file \(cafile)") }
            settings[.certificateAuthorityFile] = InitPaths.whole(cafile)
            if isService { try InitPaths.checkService(InitPaths.whole(cafile)) }
        }
        let path = "\(folder)/\(pipeline).yaml"
        let text = try PipelineFile.text(
            settings, head: "Written by lcp init. lcp config show --config \(path) tells every key and what holds.")
        try FileIO.makeFolder(folder)
        // A camera's address may hold a password.
        let isSecret = source.flatMap { CameraAddress($0) }.map { $0.printable != source } ?? false
        try FileIO.create(Array(text.utf8), at: path, isSecret: isSecret)
        writeLine("wrote \(path)")
        let password = "\(folder)/\(pipeline).password"
        let lacksPassword = user != nil && !FileIO.exists(password)
        if let user, lacksPassword {
            writeLine("write the password of \(user) into \(password), for nobody else to read, before a role starts")
        }
        for note in InitAdvice(host: host, roles: roles, source: source, isService: isService).notes { writeLine(note) }
        let units = (isHere ? ["lcp-broker"] : []) + roles.map { "lcp-\($0.rawValue)@\(pipeline)" }
        var next: [(what: String, command: String)] = []
        if isService {
            if start, Services.run, !lacksPassword {
                try Services.enable(units, replacesMosquitto: isHere)
                writeLine("started, now and with the machine: \(units.joined(separator: ", "))")
            } else {
                if isHere { next.append(("first", "systemctl disable --now mosquitto")) }
                next.append(("to start it", "systemctl enable --now \(units.joined(separator: " "))"))
            }
            next.append(("what it tells", "journalctl -f \(units.map { "-u \($0)" }.joined(separator: " "))"))
        } else {
            if isHere { next.append(("the broker", "lcp broker --bind 0.0.0.0")) }
            for role in roles { next.append(("to start it", "lcp \(role.rawValue) --config \(path)")) }
        }
        // Only root reads a file with a password.
        let sudo = geteuid() == 0 && (isSecret || user != nil) ? "sudo " : ""
        next.append(("is the broker well?", "\(sudo)lcp doctor --config \(path)"))
        next.append(("who is there?", "\(sudo)lcp status --config \(path)"))
        next.append(("predictions", "\(sudo)lcp watch --config \(path)"))
        writeLine("")
        for (what, command) in next {
            writeLine("  " + what.padding(to: 21) + command)
        }
    }

    /// Where a sensor's frames come from: asked for only where this device is one.
    private func source(of roles: [Role], isService: Bool) throws -> String? {
        guard roles.contains(.sensor) else {
            guard source == nil else { throw CommandError("--source is for a sensor: add --role sensor") }
            return nil
        }
        return try answer("Where do its frames come from? rtsp://…, v4l2:/dev/video0, rpicam, …", source, "drawn") {
            let source = InitPaths.whole(source: $0)
            if isService { try InitPaths.checkService(source: source) }
            _ = try FrameSource(source, seed: 1)
            return source
        }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }

    private static var standardFolder: String {
        if geteuid() == 0 { return "/etc/lcp" }
        let configuration =
            environmentVariable("XDG_CONFIG_HOME") ?? environmentVariable("HOME").map { "\($0)/.config" }
        return configuration.map { "\($0)/lcp" } ?? "."
    }

    /// What an option says, or else the answer to a question, asked until it is one; the default where nobody is asked.
    private func answer<Answer>(
        _ question: String, _ given: String?, _ standard: String, _ read: (String) throws -> Answer
    ) throws -> Answer {
        if let given { return try read(given) }
        if yes { return try read(standard) }
        while true {
            writeText("\(question)\(standard.isEmpty ? "" : " [\(standard)]"): ")
            guard let line = readLine() else {
                writeLine("")
                throw CommandError("there was no answer, and nothing was written")
            }
            let text = line.trimmed
            do { return try read(text.isEmpty ? standard : text) } catch { writeErrorLine("  \(error)") }
        }
    }
}

extension String {
    fileprivate func padding(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }

    fileprivate var trimmed: String {
        var text = Substring(self)
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
