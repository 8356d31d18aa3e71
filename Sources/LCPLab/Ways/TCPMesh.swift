import Glibc
import LCPWire
import Platform

/// Connections from a device to all others, and what goes over them: messages whose length both ends know.
final class TCPMesh: ProgramMesh {
    /// By device; −1 for the device itself.
    private let connections: [Int32]

    /// The port of a device, and what it says first.
    static let port: UInt16 = 7000

    /// Connects a device to those before it, and waits for those behind it.
    ///
    /// - Parameter addresses: of all devices.
    /// - Throws: ``PipelineError`` where one does not come.
    init(device: Int, addresses: [String], listener: Int32) throws(PipelineError) {
        var connections = [Int32](repeating: -1, count: addresses.count)
        for other in 0..<device {
            connections[other] = try TCP.connect(addresses[other], port: Self.port, patience: .seconds(60))
            try TCP.send([UInt8(device)], connections[other])
        }
        for _ in device + 1..<max(device + 1, addresses.count) {
            let connection = try TCP.accept(listener, patience: .seconds(60))
            let number = Int(try TCP.receive(1, connection)[0])
            guard connections.indices.contains(number), connections[number] < 0, number > device else {
                throw PipelineError(.invalidMessage, "a stranger connected to the lab's device \(device + 1)")
            }
            connections[number] = connection
        }
        for connection in connections where connection >= 0 { _ = fcntl(connection, F_SETFL, O_NONBLOCK) }
        self.connections = connections
    }

    deinit { for connection in connections where connection >= 0 { close(connection) } }

    private struct Transfer {
        var descriptor: Int32
        var bytes: [UInt8]
        var done = 0
        var isOpen: Bool { done < bytes.count }
    }

    func exchange(
        _ sends: [(to: Int, bytes: [UInt8])], receive: [(from: Int, count: Int)], _ clock: DeviceClock
    ) throws -> [[UInt8]] {
        clock.wait()
        var out = sends.map { Transfer(descriptor: connections[$0.to], bytes: $0.bytes) }
        var into = receive.map {
            Transfer(descriptor: connections[$0.from], bytes: [UInt8](repeating: 0, count: $0.count))
        }
        while out.contains(where: \.isOpen) || into.contains(where: \.isOpen) {
            var waiting: [pollfd] = []
            for transfer in out where transfer.isOpen {
                waiting.append(pollfd(fd: transfer.descriptor, events: Int16(POLLOUT), revents: 0))
            }
            for transfer in into where transfer.isOpen {
                waiting.append(pollfd(fd: transfer.descriptor, events: Int16(POLLIN), revents: 0))
            }
            guard poll(&waiting, UInt(waiting.count), 60_000) > 0 else {
                throw PipelineError(.timedOut, "a device sent nothing for 60 s")
            }
            for index in out.indices where out[index].isOpen { try Self.advance(&out[index], isSending: true) }
            for index in into.indices where into[index].isOpen {
                try Self.advance(&into[index], isSending: false)
                if !into[index].isOpen { clock.arrived(.now) }
            }
        }
        clock.resume()
        return into.map(\.bytes)
    }

    /// Moves as many bytes as go at once.
    private static func advance(_ transfer: inout Transfer, isSending: Bool) throws(PipelineError) {
        let (done, descriptor) = (transfer.done, transfer.descriptor)
        let count = transfer.bytes.withUnsafeMutableBytes { bytes in
            isSending
                ? send(descriptor, bytes.baseAddress! + done, bytes.count - done, Int32(MSG_NOSIGNAL))
                : recv(descriptor, bytes.baseAddress! + done, bytes.count - done, 0)
        }
        if count > 0 {
            transfer.done += count
        } else if count == 0 {
            throw PipelineError(.processFailed, "a device ended while others waited for it")
        } else if errno != EAGAIN, errno != EINTR {
            throw PipelineError(.processFailed, "cannot reach a device: \(String(cString: strerror(errno)))")
        }
    }
}
