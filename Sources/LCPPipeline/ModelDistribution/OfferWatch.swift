import LCPWire
import Platform

/// What a role knows of the pipeline's manifest, and when it puts it right: a pure state machine with time passed in.
///
/// After a start or a reconnect, a broker that does not say soon that it has kept the manifest has forgotten the model; one that has
/// kept an older one was away when the newer was pushed; and what lies there and is no manifest was put there by mistake. Whoever
/// knows the model publishes it again, one after the other.
struct OfferWatch {
    typealias Instant = ContinuousClock.Instant

    enum Action: Hashable {
        /// A model was offered that was not the one before.
        case offer(ModelOffer)
        /// Publish this device's files of the model, and the manifest.
        case republish(ModelOffer)
        /// Publish the manifest.
        case restore(ModelOffer)
        /// What came is no manifest, for this reason.
        case ignore(String)
        /// What came is a manifest that this pipeline does not take.
        case refuse(ModelTrust.Refusal, String)
    }

    /// Whose models are taken; nil for anybody's.
    var trust: ModelTrust?

    /// The newest offer.
    private(set) var offer: ModelOffer?
    /// Whether something came that is no manifest.
    private(set) var isUnreadable = false
    /// Whether the broker has said since the last reconnect that it has kept a manifest.
    private var isKept = false
    private var republishTime: Instant?
    private var restoreTime: Instant?

    /// So long is waited for others who do the same, and for up to as long again by chance.
    static let patience = Duration.milliseconds(300)
    /// So soon a device follows another that publishes the model again: what only one of them has is needed, too.
    static let following = Duration.milliseconds(50)

    /// When ``time(_:)`` is to be called.
    var nextDue: Instant? { [republishTime, restoreTime].compactMap(\.self).min() }

    /// A manifest came, or what lies in its place.
    ///
    /// - Parameter chance: by chance, up to ``patience``.
    mutating func heard(_ payload: [UInt8], isRetained: Bool, now: Instant, chance: Duration) -> [Action] {
        if isRetained { isKept = true }
        guard !payload.isEmpty else { return [] }
        do throws(PipelineError) {
            let found = try ModelOffer(payload)
            if let refusal = trust?.refusal(of: found) {
                isUnreadable = true
                if offer != nil { restoreTime = restoreTime ?? now + Self.patience + chance }
                return [.refuse(refusal, found.name.printable)]
            }
            if found == offer, !isRetained, republishTime != nil {
                republishTime = now + Self.following
                return []
            }
            if let offer, offer.supersedes(found) {
                isKept = false
                republishTime = republishTime ?? now + Self.patience + chance
                return [.ignore("the model \(found.name.printable) there is older than \(offer.name.printable)")]
            }
            // It is there again, or there is another: nothing is to be put right.
            restoreTime = nil
            guard found != offer else { return [] }
            republishTime = nil
            let before = offer
            offer = found
            return before?.isSame(as: found) == true ? [] : [.offer(found)]
        } catch {
            isUnreadable = true
            // The manifest of a later version is not for this one to judge.
            if offer != nil, !ModelOffer.isNewer(payload) {
                restoreTime = restoreTime ?? now + Self.patience + chance
            }
            return [.ignore(error.description)]
        }
    }

    /// What this device keeps on disk: what the pipeline had when it was here last.
    ///
    /// - Parameter chance: by chance, up to ``patience``.
    mutating func recall(_ kept: ModelOffer, now: Instant, chance: Duration) {
        guard trust?.refusal(of: kept) == nil else { return }
        offer = kept
        reconnected(now: now, chance: chance)
    }

    /// The connection is there again.
    mutating func reconnected(now: Instant, chance: Duration) {
        isKept = false
        republishTime = now + Self.patience + chance
    }

    mutating func time(_ now: Instant) -> [Action] {
        var actions: [Action] = []
        if let time = restoreTime, now >= time {
            restoreTime = nil
            actions += offer.map { [.restore($0)] } ?? []
        }
        if let time = republishTime, now >= time {
            republishTime = nil
            if let offer, !isKept { actions.append(.republish(offer)) }
        }
        return actions
    }
}
