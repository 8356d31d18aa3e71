import CBranchKernels
import LCPModels

/// Kernels in numbers of eight bits for an instruction set.
struct IntegerKernels: CustomStringConvertible {
    let table: UnsafePointer<lcp_integer_kernels>

    /// All that this processor can run: first the plain ones that define the bits, last the quickest.
    nonisolated(unsafe) static let all: [IntegerKernels] = (0..<Int(LCP_INTEGER_KERNELS_COUNT)).compactMap {
        lcp_integer_kernels_at($0).map { IntegerKernels(table: $0) }
    }
    static var best: IntegerKernels { all[all.count - 1] }

    var functions: lcp_integer_kernels { table.pointee }
    var description: String { String(cString: functions.name) }

    /// How graphs are made for them: as for kernels in single precision of as many lanes, of which each multiplies several
    /// numbers at once.
    var shape: Kernels { Kernels(lanes: functions.lanes, group: functions.group, isInteger: true) }

    /// The byte that stands for a number in memory.
    func byte(_ number: Int8) -> UInt8 { UInt8(truncatingIfNeeded: Int(number) + Int(functions.offset)) }
}

extension UnsafeMutableRawPointer {
    /// Memory for so many bytes, all zero, that begins a cache line.
    static func allocateAligned(bytes: Int) -> UnsafeMutableRawPointer {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(1, bytes), alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        return memory
    }
}
