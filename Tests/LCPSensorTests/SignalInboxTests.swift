import Testing

@testable import LCPSensor

@Suite("Messages that wait for a sensor")
struct SignalInboxTests {
    @Test(
        "They are bounded in number, the oldest going, and in bytes, the newest going; and there is room again when they were read"
    )
    func bounds() async {
        let inbox = SignalInbox()
        for index in 0..<65_542 { inbox.put([UInt8(index % 256)]) }
        #expect(inbox.droppedCount == 6)
        var messages = inbox.elements.makeAsyncIterator()
        for _ in 0..<65_536 { inbox.took(await messages.next()) }
        let large = [UInt8](repeating: 1, count: SignalInbox.mostBytes / 2)
        for _ in 0..<3 { inbox.put(large) }
        #expect(inbox.droppedCount == 7)
        inbox.took(await messages.next())
        inbox.put(large)
        #expect(inbox.droppedCount == 7)
    }
}
