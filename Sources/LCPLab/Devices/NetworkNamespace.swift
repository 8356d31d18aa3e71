import CLinux
import Glibc
import LCPWire
import Platform
import Synchronization

/// Does something in the network of another namespace: a socket that is made there stays there.
enum NetworkNamespace {
    private final class Box<Value: Sendable>: Sendable {
        let place = Mutex<Swift.Result<Value, any Error>?>(nil)
        let done = Semaphore()
    }

    /// Calls `body` on a thread of its own that is in the namespace, and waits for it.
    ///
    /// - Throws: what `body` throws; ``PipelineError`` where there is no such namespace.
    static func run<Result: Sendable>(_ name: String, _ body: @escaping @Sendable () throws -> Result) throws -> Result
    {
        let box = Box<Result>()
        try startThread(name: "namespace", stackSize: 1 << 20) {
            let result = Swift.Result {
                try enter(name); return try body()
            }
            box.place.withLock { $0 = result }
            box.done.signal()
        }
        box.done.wait()
        guard let result = box.place.withLock({ $0 }) else {
            throw PipelineError(.resources, "a thread of the lab ended early")
        }
        return try result.get()
    }

    /// Moves this thread there, for good.
    private static func enter(_ name: String) throws(PipelineError) {
        let path = "/run/netns/\(name)"
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, linux_enter_network(descriptor) == 0 else {
            throw PipelineError(.resources, "cannot enter \(path): \(String(cString: strerror(errno)))")
        }
    }
}
