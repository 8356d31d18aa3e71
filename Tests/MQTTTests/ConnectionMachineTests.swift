import Platform
import Testing

@testable import MQTT

@Suite struct ConnectionMachineTests {
    static let error = MQTTError(.unreachable, "nobody answers")
    static let unanswered = MQTTError(.unreachable, "silence")

    func machine(waitsForBroker: Bool = false, nodes: Int = 1) -> ConnectionMachine {
        ConnectionMachine(
            backoff: Backoff(.milliseconds(100) ... .seconds(2), generator: Constant()), connectTimeout: .seconds(10),
            unanswered: Self.unanswered, waitsForBroker: waitsForBroker, nodes: nodes)
    }

    /// Makes every random number the largest: waits are then exactly their upper bound.
    struct Constant: RandomNumberGenerator { mutating func next() -> UInt64 { .max } }

    func connected() -> ConnectionMachine {
        var machine = machine()
        _ = machine.handle(.connect)
        _ = machine.handle(.opened)
        _ = machine.handle(.accepted)
        return machine
    }

    @Test func theFirstConnectionSucceeds() {
        var machine = machine()
        #expect(machine.handle(.connect) == [.report(.connecting), .startTimer(.seconds(10)), .openConnection])
        #expect(machine.handle(.opened) == [.cancelTimer, .startTimer(.seconds(10))])
        #expect(
            machine.handle(.accepted)
                == [.cancelTimer, .startTimer(.seconds(2)), .report(.connected), .resume, .succeedConnect])
        #expect(machine.state == .connected)
    }

    @Test func theFirstFailureIsFinal() {
        var machine = machine()
        _ = machine.handle(.connect)
        let actions = machine.handle(.failed(Self.error))
        #expect(actions.contains(.failConnect(Self.error)))
        #expect(actions.last == .finish)
        #expect(machine.state == .closed)
        #expect(machine.handle(.connect) == [])
    }

    @Test("A broker that is not there yet is waited for where that is wanted, with growing waits")
    func waits() {
        var machine = machine(waitsForBroker: true)
        #expect(machine.handle(.connect) == [.report(.connecting), .openConnection])
        for delay in [100, 200, 400] {
            let delay = Duration.milliseconds(delay)
            #expect(
                machine.handle(.failed(Self.error))
                    == [.cancelTimer, .dropConnection, .report(.waiting(Self.error, retry: delay)), .startTimer(delay)])
            #expect(machine.handle(.timerFired) == [.report(.connecting), .openConnection])
        }
        _ = machine.handle(.opened)
        #expect(machine.handle(.accepted).contains(.succeedConnect))
    }

    @Test("All nodes of a cluster are tried before anybody waits or is told")
    func triesAllNodes() {
        var machine = machine(nodes: 3)
        _ = machine.handle(.connect)
        for _ in 0..<2 {
            #expect(
                machine.handle(.failed(Self.error))
                    == [.cancelTimer, .dropConnection, .takeNextNode, .startTimer(.seconds(10)), .openConnection])
        }
        #expect(machine.handle(.failed(Self.error)).contains(.failConnect(Self.error)))

        machine = self.machine(waitsForBroker: true, nodes: 2)
        _ = machine.handle(.connect)
        _ = machine.handle(.opened)
        let refused = MQTTError(.refused, "the server is unavailable")
        #expect(machine.handle(.failed(refused)) == [.cancelTimer, .dropConnection, .takeNextNode, .openConnection])
        _ = machine.handle(.opened)
        _ = machine.handle(.accepted)
        // One that was lost is not asked again at once, and after the others only.
        let delay = Duration.milliseconds(100)
        #expect(
            machine.handle(.failed(Self.error))
                == [
                    .cancelTimer, .dropConnection, .takeNextNode, .report(.waiting(Self.error, retry: delay)),
                    .startTimer(delay),
                ])
        _ = machine.handle(.timerFired)
        _ = machine.handle(.opened)
        #expect(machine.handle(.timerFired) == [.cancelTimer, .dropConnection, .takeNextNode, .openConnection])
        #expect(machine.handle(.failed(Self.error)).contains(.startTimer(.milliseconds(200))))
    }

    @Test("A broker that takes nobody in yet is waited for, too")
    func unavailable() {
        var machine = machine(waitsForBroker: true)
        let full = MQTTError(.unavailable, "the server is unavailable")
        _ = machine.handle(.connect)
        for delay in [100, 200] {
            _ = machine.handle(.opened)
            let delay = Duration.milliseconds(delay)
            #expect(
                machine.handle(.failed(full))
                    == [.cancelTimer, .dropConnection, .report(.waiting(full, retry: delay)), .startTimer(delay)])
            _ = machine.handle(.timerFired)
        }
        _ = machine.handle(.opened)
        #expect(machine.handle(.accepted).contains(.succeedConnect))
        var hurried = self.machine()
        _ = hurried.handle(.connect)
        _ = hurried.handle(.opened)
        #expect(hurried.handle(.failed(full)).contains(.failConnect(full)))
    }

    @Test("Who waits for a broker is told where it refuses, and can be stopped")
    func waitsInVain() {
        var refused = machine(waitsForBroker: true)
        _ = refused.handle(.connect)
        _ = refused.handle(.opened)
        let no = MQTTError(.refused, "no")
        #expect(refused.handle(.failed(no)).contains(.failConnect(no)))
        var noTLS = machine(waitsForBroker: true)
        _ = noTLS.handle(.connect)
        let error = MQTTError(.tls, "no certificate")
        #expect(noTLS.handle(.failed(error)).contains(.failConnect(error)))
        var stopped = machine(waitsForBroker: true)
        _ = stopped.handle(.connect)
        _ = stopped.handle(.failed(Self.error))
        #expect(
            stopped.handle(.close)
                == [.cancelTimer, .report(.closed(nil)), .failConnect(ConnectionMachine.closedEarly), .finish])
    }

    @Test func aBrokerThatNeverAnswersIsGivenUp() {
        var machine = machine()
        _ = machine.handle(.connect)
        _ = machine.handle(.opened)
        #expect(machine.handle(.timerFired).contains(.failConnect(Self.unanswered)))
    }

    @Test func aConnectionThatCannotBeOpenedInTimeIsAbandoned() {
        var machine = machine()
        _ = machine.handle(.connect)
        #expect(machine.handle(.timerFired) == [.report(.closed(Self.unanswered)), .failConnect(Self.unanswered)])
        #expect(machine.state == .abandoned)
        #expect(machine.handle(.opened) == [.dropConnection, .finish])
    }

    @Test func aLossIsRepairedWithGrowingWaits() {
        var machine = connected()
        var delays: [Duration] = []
        for _ in 0..<7 {
            for action in machine.handle(.failed(Self.error)) {
                if case .startTimer(let delay) = action { delays.append(delay) }
            }
            #expect(machine.state == .waiting(first: false))
            #expect(machine.handle(.timerFired) == [.report(.connecting), .openConnection])
        }
        #expect(delays.map(\.components.attoseconds).first == 100_000_000_000_000_000)
        #expect(zip(delays, delays.dropFirst()).allSatisfy { $0 <= $1 })
        #expect(delays.last == .seconds(2))
    }

    @Test func onlyAConnectionThatLastsStartsTheWaitsOver() {
        var machine = connected()
        func loss() -> Duration? {
            var delay: Duration?
            for action in machine.handle(.failed(Self.error)) {
                if case .startTimer(let wait) = action { delay = wait }
            }
            _ = machine.handle(.timerFired)
            _ = machine.handle(.opened)
            _ = machine.handle(.accepted)
            return delay
        }
        #expect(loss() == .milliseconds(100))
        #expect(loss() == .milliseconds(200))
        #expect(loss() == .milliseconds(400))
        _ = machine.handle(.timerFired)
        #expect(loss() == .milliseconds(100))
    }

    @Test func closingWaitsForWhatIsInFlight() {
        var machine = connected()
        #expect(machine.handle(.close) == [.cancelTimer, .drain])
        #expect(machine.handle(.drained) == [.sendDisconnect, .dropConnection, .report(.closed(nil)), .finish])
    }

    @Test func closingWhileConnectingLeavesNothingOpen() {
        var machine = machine()
        _ = machine.handle(.connect)
        #expect(
            machine.handle(.close)
                == [.cancelTimer, .report(.closed(nil)), .failConnect(ConnectionMachine.closedEarly)])
        #expect(machine.handle(.opened) == [.dropConnection, .finish])
        #expect(machine.state == .closed)
    }

    @Test func noEventEverRevivesAClosedConnection() {
        let events: [ConnectionMachine.Event] = [
            .connect, .opened, .accepted, .failed(Self.error), .timerFired, .close, .drained,
        ]
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            var machine = machine()
            var finishes = 0
            for _ in 0..<30 {
                let wasClosed = machine.state == .closed
                let actions = machine.handle(events.randomElement(using: &random)!)
                if wasClosed { #expect(actions == [] && machine.state == .closed) }
                finishes += actions.filter { $0 == .finish }.count
            }
            #expect(finishes <= 1)
        }
    }

    @Test func waitsAreJitteredBetweenHalfAndWhole() {
        var backoff = Backoff(.milliseconds(100) ... .seconds(2))
        for bound in [100, 200, 400, 800, 1600, 2000, 2000] {
            let wait = backoff.next()
            #expect(wait >= .milliseconds(bound) / 2 && wait <= .milliseconds(bound))
        }
    }
}
