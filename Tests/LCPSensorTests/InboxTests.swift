import Testing

@testable import LCPSensor

@Suite struct InboxTests {
    /// An actor that hears what an inbox has, as a sensor does.
    private actor Listener {
        private(set) var heard: [Int] = []

        func listen(_ inbox: Inbox<Int>) async {
            for await number in inbox.elements { heard.append(number) }
        }
    }

    @Test("What comes while the actor listens is dealt with in its order, and nothing is left out")
    func order() async {
        let inbox = Inbox<Int>(limit: 100_000)
        let listener = Listener()
        let listening = Task { await listener.listen(inbox) }
        for number in 0..<20_000 { inbox.put(number) }
        inbox.close()
        await listening.value
        #expect(await listener.heard == Array(0..<20_000))
        #expect(inbox.droppedCount == 0)
    }

    @Test("An actor that does not keep up loses the oldest, counted")
    func bound() async {
        let inbox = Inbox<Int>(limit: 3)
        for number in 0..<10 { inbox.put(number) }
        inbox.close()
        let listener = Listener()
        await listener.listen(inbox)
        #expect(await listener.heard == [7, 8, 9])
        #expect(inbox.droppedCount == 7)
    }

    @Test("Nothing is heard after the end")
    func end() async {
        let inbox = Inbox<Int>(limit: 3)
        inbox.put(1)
        inbox.close()
        inbox.put(2)
        let listener = Listener()
        await listener.listen(inbox)
        #expect(await listener.heard == [1])
        #expect(inbox.droppedCount == 0)
    }
}
