import CXXHash
import LCPWire
import Synchronization

/// Where a worker keeps the pipeline's plan; it is asked about every input before that is copied or decoded.
final class FlowGate: Sendable {
    private let filter = Mutex(FlowFilter())
    private let isOpen = Atomic<Bool>(true)

    /// Takes a plan as it was published; an empty one lets everything in.
    func update(_ json: [UInt8]) {
        let fresh = FlowFilter(FlowPlan(json) ?? FlowPlan())
        filter.withLock { $0 = fresh }
        isOpen.store(fresh.admitsAll, ordering: .releasing)
    }

    /// Whether an input is to be computed.
    func admits(_ topic: String, _ payload: UnsafeRawBufferPointer) -> Bool {
        guard !isOpen.load(ordering: .acquiring) else { return true }
        let sensor = Topics.sensor(of: topic)
        let (session, frame) =
            TensorMessage.identity(payload) ?? (0, XXH64(payload.baseAddress, payload.count, 0))
        return filter.withLock { $0.admits(sensor, session: session, frame: frame) }
    }
}
