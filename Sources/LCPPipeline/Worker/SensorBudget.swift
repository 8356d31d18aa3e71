import Images
import LCPWire
import MQTT
import Platform
import Synchronization

/// What a worker takes of each sensor in a second.
public struct SensorBudget: Sendable, Hashable {
    /// Of pictures, by their headers; nil for any number.
    public var pixelsPerSecond: Double?
    /// Of whatever it sends; nil for any number.
    public var bytesPerSecond: Double?

    public init(pixelsPerSecond: Double? = nil, bytesPerSecond: Double? = nil) {
        self.pixelsPerSecond = pixelsPerSecond
        self.bytesPerSecond = bytesPerSecond
    }

    /// The pixels that a payload makes somebody decode; 0 for anything but a picture.
    static func pixels(of payload: UnsafeRawBufferPointer) -> Int {
        let size: (height: Int, width: Int)? =
            if ImageFormat(signatureOf: payload) != nil {
                try? Image.dimensions(of: payload)
            } else if TensorMessage.isTensorMessage(payload) {
                // Those have the model's size.
                nil
            } else {
                Image.picture(inText: payload)?.withUnsafeBytes { try? Image.dimensions(of: $0) }
            }
        return size.map { $0.height.multipliedReportingOverflow(by: $0.width).partialValue } ?? 0
    }
}

/// Who may still send how much: pure. Of every sensor an account that fills with time up to a second's worth; what is taken may
/// overdraw it, so that also a picture of more than that gets its turn.
struct SensorAccounts {
    private struct Account {
        /// Of each kind, as a share of a second's worth.
        var pixels = 1.0
        var bytes = 1.0
        var time: ContinuousClock.Instant

        mutating func fill(until now: ContinuousClock.Instant) {
            let seconds = (now - time).milliseconds / 1000
            (pixels, bytes, time) = (min(1, pixels + seconds), min(1, bytes + seconds), now)
        }

        mutating func take(pixels: Double, bytes: Double) {
            self.pixels = max(-SensorAccounts.longestDebt, self.pixels - pixels)
            self.bytes = max(-SensorAccounts.longestDebt, self.bytes - bytes)
        }
    }

    /// Seconds after which anybody may send again, whatever a header said.
    private static let longestDebt = 60.0

    /// More than so many sensors share one account.
    static let maximumCount = 1024

    private let budget: SensorBudget
    private var accounts: [String: Account] = [:]

    init(_ budget: SensorBudget) { self.budget = budget }

    /// Takes what came, or says that it is too much.
    mutating func take(_ sensor: String, pixels: Int, bytes: Int, now: ContinuousClock.Instant) -> Bool {
        if accounts[sensor] == nil, accounts.count >= Self.maximumCount {
            for name in accounts.keys { accounts[name]!.fill(until: now) }
            accounts = accounts.filter { $0.value.pixels < 1 || $0.value.bytes < 1 }
        }
        let name = accounts[sensor] != nil || accounts.count < Self.maximumCount ? sensor : ""
        var account = accounts[name] ?? Account(time: now)
        account.fill(until: now)
        let isWithin = account.pixels > 0 && account.bytes > 0
        if isWithin {
            account.take(
                pixels: budget.pixelsPerSecond.map { Double(pixels) / $0 } ?? 0,
                bytes: budget.bytesPerSecond.map { Double(bytes) / $0 } ?? 0)
        }
        accounts[name] = account
        return isWithin
    }
}

/// What a runner takes of the inputs that come.
extension BranchRunner {
    /// Whether a frame is for this branch, and one that is computed; counts why not.
    nonisolated func takes(_ input: MQTTMessageView) -> Bool {
        guard isWanted(input.payload) else { return false }
        guard shared.gate.admits(input.topic, input.payload) else {
            shed.add(1, ordering: .relaxed)
            return false
        }
        guard purse?.takes(input) != false else {
            if overBudget.add(1, ordering: .relaxed).oldValue == 0 {
                session.log(
                    "left out what \(Topics.sensor(of: input.topic).printable) sends beyond its budget, and counts it as over_budget; "
                        + "workers of other branches need the same limits, or answers are incomplete")
            }
            return false
        }
        return true
    }

    /// One that is sent again may want another branch only.
    private nonisolated func isWanted(_ payload: UnsafeRawBufferPointer) -> Bool {
        guard branch < 64, let wanted = TensorMessage.wantedBranches(payload) else { return true }
        return wanted & 1 << UInt64(branch) != 0
    }
}

/// The accounts of one branch, which any thread may ask.
final class SensorPurse: Sendable {
    private let limitsPixels: Bool
    private let accounts: Mutex<SensorAccounts>

    init(_ budget: SensorBudget) {
        limitsPixels = budget.pixelsPerSecond != nil
        accounts = Mutex(SensorAccounts(budget))
    }

    func takes(_ input: MQTTMessageView) -> Bool {
        // A header is looked at only where that matters.
        let pixels = limitsPixels ? SensorBudget.pixels(of: input.payload) : 0
        return accounts.withLock {
            $0.take(Topics.sensor(of: input.topic), pixels: pixels, bytes: input.payload.count, now: .now)
        }
    }
}
