import CLinux

extension MQTTClient {
    /// Lets the process keep freed memory for the next message, where its C library is glibc.
    ///
    /// glibc gives a block that is freed at the top of its heap back to the system from 128 KB on, and maps large blocks anew
    /// every time. An image of 150 KB then costs system calls and forty page faults with each message, about as long as its way
    /// through a broker takes. This is about the whole process, so it is the program's choice and not the client's.
    ///
    /// - Parameter bytes: at most 32 MB.
    public static func keepFreedMemory(upTo bytes: Int = 16 << 20) {
        lcp_keep_freed_memory(Int32(clamping: max(0, min(bytes, 32 << 20))))
    }
}
