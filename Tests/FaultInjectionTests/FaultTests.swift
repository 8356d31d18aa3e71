import Foundation
import Platform
import Testing

@testable import FaultInjection

@Suite struct FaultTests {
    private func numbers(_ packets: [[UInt8]]) -> [UInt8] { packets.compactMap(\.last) }

    @Test func withoutFaultsTheBytesStayAsTheyAre() {
        var random = SeededGenerator(seed: 1)
        for round in 0..<200 {
            var test = TestConnection()
            for direction in Direction.allCases {
                var input: [UInt8] = []
                for number in 0..<20 {
                    let packet =
                        switch random.index(5) {
                        case 0: Packet.ping
                        case 1: Packet.acknowledge(UInt16(number + 1))
                        // Garbage, with a length that may or may not fit.
                        case 2 where round % 4 == 0: random.bytes(1 + random.index(50))
                        default:
                            Packet.publish(
                                random.index(4) == 0 ? "" : "t", random.bytes(random.index(300)),
                                qos: UInt8(random.index(3)), alias: random.index(3) == 0 ? 5 : nil)
                        }
                    input += packet
                }
                var output: [UInt8] = []
                var position = 0
                while position < input.count {
                    let count = min(input.count - position, 1 + random.index(200))
                    test.put(Array(input[position..<position + count]), direction)
                    output += test.takeBytes(direction)
                    position += count
                }
                test.connection.end(direction, at: test.now)
                output += test.takeBytes(direction)
                #expect(output == input)
                #expect(test.connection.heldBytes(direction) == 0)
            }
        }
    }

    @Test func randomBytesUnderAllFaultsNeitherCrashNorStay() {
        var random = SeededGenerator(seed: 6)
        let faults = [
            Fault(.drop, probability: 0.1), Fault(.duplicate, probability: 0.5),
            Fault(.reorder(distance: 3, patience: 20), probability: 0.3),
            Fault(.damage(bytes: 4, wholePacket: true), probability: 0.3),
            Fault(.delay(milliseconds: 10, jitter: 10), probability: 0.5),
        ]
        for _ in 0..<300 {
            var test = TestConnection(faults)
            for _ in 0..<40 {
                let direction = Direction.allCases[random.index(2)]
                var packet = Packet.publish(
                    "t", random.bytes(random.index(30)), qos: UInt8(random.index(3)), alias: UInt16(random.index(3)))
                if random.index(3) == 0 { packet[random.index(packet.count)] ^= UInt8(1 + random.index(255)) }
                if random.index(4) == 0 { packet = Packet.acknowledge(UInt16(random.index(3))) }
                test.put(packet, direction)
                test.now += .milliseconds(random.index(5))
                _ = test.takeBytes(direction)
            }
            for direction in Direction.allCases { test.connection.end(direction, at: test.now) }
            test.now += .seconds(10)
            for direction in Direction.allCases {
                _ = test.takeBytes(direction)
                #expect(test.connection.heldBytes(direction) == 0)
                #expect(test.connection.nextSend(direction, bandwidth: nil) == nil)
            }
        }
    }

    @Test func faultsMeetTheirTopicsDirectionsAndClientsOnly() {
        var test = TestConnection(
            [
                Fault(.drop, topics: ["lcp/+/features/#"], clients: ["lcp-*"], direction: .toBroker)
            ], client: "lcp-a")
        test.put(Packet.publish("lcp/x/features/0/cam", [1]) + Packet.publish("lcp/x/input/cam", [2]) + Packet.ping)
        #expect(test.take() == [Packet.publish("lcp/x/input/cam", [2]), Packet.ping])
        test.put(Packet.publish("lcp/x/features/0/cam", [3]), .fromBroker)
        #expect(numbers(test.take(.fromBroker)) == [3])
        #expect(test.connection.counters(.toBroker).dropped == 1 && test.connection.counters(.toBroker).publishes == 2)
        var other = TestConnection([Fault(.drop, clients: ["lcp-*", "y"])], client: "x")
        other.put(Packet.publish("t", [1]))
        #expect(other.take().count == 1)
    }

    @Test func theSameSeedDecidesTheSame() {
        let faults = [
            Fault(.drop, probability: 0.2), Fault(.damage(bytes: 3, wholePacket: false), probability: 0.3),
            Fault(.reorder(distance: 4, patience: 1000), probability: 0.3),
        ]
        func output(_ faults: [Fault], seed: UInt64, client: String = "c", others: Int = 0) -> [UInt8] {
            var test = TestConnection(faults, seed: seed)
            // Others' connections come in between.
            for number in 0..<others { _ = test.machine.seedOfNextConnection(client: "other \(number)") }
            test.connection = FaultedConnection()
            test.put(Packet.connect(client))
            for number in 0..<200 as Range<UInt8> { test.put(Packet.publish("t", [number, number, number])) }
            test.now += .seconds(10)
            return test.takeBytes()
        }
        let first = output(faults, seed: 7)
        #expect(output(faults, seed: 7) == first)
        #expect(output(faults, seed: 7, others: 5) == first)
        #expect(output(faults, seed: 8) != first)
        #expect(output(faults, seed: 7, client: "d").dropFirst(20) != first.dropFirst(20))
        // One more fault does not move the decisions of the others.
        #expect(output(faults + [Fault(.drop, topics: ["u"])], seed: 7) == first)
    }

    @Test func probabilitiesAreMetAndLimitsKept() {
        var test = TestConnection([Fault(.drop, probability: 0.1), Fault(.duplicate, limit: 5)])
        for _ in 0..<5000 { test.put(Packet.publish("t", [1])) }
        let counters = test.connection.counters(.toBroker)
        #expect((430...570).contains(counters.dropped) && counters.duplicated == 5)
        #expect(test.take().count == 5000 - Int(counters.dropped) + 5)
    }

    @Test func everyMessageTwice() {
        for version in [4, 5] as [UInt8] {
            var test = TestConnection([Fault(.duplicate)], version: version)
            test.put(Packet.publish("t", [1], version: version) + Packet.publish("t", [2], qos: 2, version: version))
            #expect(numbers(test.take()) == [1, 1, 2])
        }
    }

    @Test func aCopyAtQoS1IsMarkedAndItsAcknowledgementKept() {
        var test = TestConnection([Fault(.duplicate, limit: 1)])
        let message = Packet.publish("t", [1], qos: 1, identifier: 9)
        test.put(message)
        var copy = message
        copy[0] |= 8
        #expect(test.take() == [message, copy])
        test.put(Packet.acknowledge(9), .fromBroker)
        #expect(test.take(.fromBroker) == [Packet.acknowledge(9)])
        // The sender takes the identifier for its next message before the copy is acknowledged.
        test.put(message)
        test.put(Packet.acknowledge(9), .fromBroker)
        #expect(test.take(.fromBroker) == [])
        test.put(Packet.acknowledge(9), .fromBroker)
        #expect(test.take(.fromBroker) == [Packet.acknowledge(9)])
        test.put(Packet.acknowledge(9), .fromBroker)
        #expect(test.take(.fromBroker) == [Packet.acknowledge(9)])
        #expect(test.connection.counters(.fromBroker).acknowledgementsKept == 1)
    }

    @Test func overtakenMessagesComeLaterAndNoneIsLost() {
        var test = TestConnection([Fault(.reorder(distance: 1, patience: 100), probability: 0.1)])
        var sent: [UInt8] = []
        for number in 0..<250 as Range<UInt8> {
            sent.append(number)
            test.put(Packet.publish("t", [number]))
        }
        test.now += .milliseconds(100)
        let received = numbers(test.take())
        let moved = test.connection.counters(.toBroker).reordered
        #expect(received != sent && received.sorted() == sent && (10...40).contains(moved))
        // A message that nothing overtakes goes on by itself, and is not counted.
        var alone = TestConnection([Fault(.reorder(distance: 3, patience: 50))])
        alone.put(Packet.publish("t", [1]) + Packet.ping)
        #expect(alone.take() == [Packet.ping])
        #expect(alone.connection.nextSend(.toBroker, bandwidth: nil) == .milliseconds(50))
        alone.now = .milliseconds(50)
        #expect(numbers(alone.take()) == [1] && alone.connection.counters(.toBroker).reordered == 0)
    }

    @Test func aGoodbyeComesLast() {
        var test = TestConnection([
            Fault(.delay(milliseconds: 200, jitter: 0)), Fault(.reorder(distance: 1, patience: 50), topics: ["r"]),
        ])
        test.put(Packet.publish("t", [1]) + Packet.publish("r", [2]) + Packet.disconnect)
        test.connection.end(.toBroker, at: test.now)
        #expect(test.take() == [])
        test.now = .milliseconds(200)
        let packets = test.take()
        #expect(packets.count == 3 && packets.last == Packet.disconnect && test.connection.heldBytes(.toBroker) == 0)
    }

    @Test func damageChangesThePayloadOnly() throws {
        var test = TestConnection([Fault(.damage(bytes: 2, wholePacket: false))])
        let payload = [UInt8](repeating: 0, count: 20)
        var places: Set<Int> = []
        for _ in 0..<200 {
            test.put(Packet.publish("topic", payload))
            let packet = try #require(test.take().first)
            let original = Packet.publish("topic", payload)
            let changed = packet.indices.filter { packet[$0] != original[$0] }
            #expect((1...2).contains(changed.count) && packet.count == original.count)
            #expect(changed.allSatisfy { $0 >= original.count - 20 })
            places.formUnion(changed)
        }
        #expect(places.count == 20)
        test.put(Packet.publish("empty", []))
        #expect(test.take() == [Packet.publish("empty", [])])
        #expect(test.connection.counters(.toBroker).damaged == 200)
    }

    @Test func delaysKeepTheOrderOfATopicAndLetOthersPass() {
        var test = TestConnection([Fault(.delay(milliseconds: 50, jitter: 50), topics: ["slow"])])
        for number in 0..<100 as Range<UInt8> {
            test.put(Packet.publish("slow", [number]) + Packet.publish("fast", [number]))
        }
        let atOnce = test.take()
        #expect(atOnce.filter { $0 == Packet.publish("fast", [$0.last ?? 0]) }.count == 100)
        test.now = .milliseconds(100)
        #expect(numbers(test.take()) + [] == Array(UInt8(100 - (200 - atOnce.count))..<100))
        #expect(test.connection.heldBytes(.toBroker) == 0)
    }

    @Test func aTopicAliasIsNeverLost() throws {
        var test = TestConnection([
            Fault(.drop, topics: ["t"], probability: 0.5), Fault(.reorder(distance: 2, patience: 50), probability: 0.5),
        ])
        test.put(Packet.publish("t", [0], alias: 3))
        #expect(numbers(test.take()) == [0])
        for number in 1...100 as ClosedRange<UInt8> { test.put(Packet.publish("", [number], alias: 3)) }
        // What the alias means was told, so its messages can be dropped; a new meaning waits for all before it.
        test.put(Packet.publish("u", [101], alias: 3))
        let seen = numbers(test.take())
        #expect((20...80).contains(seen.count) && seen.last == 101)
        test.put(Packet.publish("", [1], alias: 77))
        #expect(test.take() == [Packet.publish("", [1], alias: 77)])
    }

    @Test func theBandwidthIsMet() {
        var test = TestConnection()
        test.put((0..<100).flatMap { _ in Packet.publish("t", [UInt8](repeating: 1, count: 985)) })
        let total = test.connection.heldBytes(.toBroker)
        var sent = 0
        var steps = 0
        while sent < total, steps < 10_000 {
            sent += test.takeBytes(bandwidth: 100_000).count
            if let next = test.connection.nextSend(.toBroker, bandwidth: 100_000) { test.now = max(test.now, next) }
            steps += 1
        }
        #expect(sent == total && steps < 100)
        #expect(abs(test.now.seconds - Double(total) / 100_000) < 0.1)
    }

    @Test func partitionsComeAndGo() {
        let once = FaultPlan.Partition(start: 2, duration: 3)
        #expect(once.state(at: 1) == (false, 2) && once.state(at: 2) == (true, 5) && once.state(at: 5) == (false, nil))
        let often = FaultPlan.Partition(start: 10, duration: 2, period: 10)
        #expect(often.state(at: 9) == (false, 10) && often.state(at: 31) == (true, 32))
        #expect(often.state(at: 32) == (false, 40))
        let machine = FaultMachine(
            FaultPlan(partitions: [once, .init(start: 4, duration: 1, mode: .cut, clients: ["w*"])]))
        #expect(machine.partition(of: "w1", at: .seconds(3)) == .hold)
        #expect(machine.partition(of: "w1", at: .seconds(4)) == .cut)
        #expect(
            machine.partition(of: "a", at: .seconds(4)) == .hold && machine.partition(of: "a", at: .seconds(6)) == nil)
        #expect(!machine.refusesEverybody(at: .seconds(4)))
        #expect(machine.nextPartitionChange(after: .seconds(3)) == .seconds(4))
    }

    @Test func aPlanIsWrittenDownAndRead() throws {
        let plan = FaultPlan(
            seed: 5,
            faults: [
                Fault(.drop, topics: ["a/#"], probability: 0.5, limit: 3), Fault(.duplicate, direction: .toBroker),
                Fault(.reorder(distance: 2, patience: 10)), Fault(.damage(bytes: 1, wholePacket: true)),
                Fault(.delay(milliseconds: 5, jitter: 1), clients: ["w*"]),
            ], bandwidth: 1000, partitions: [.init(start: 1, duration: 2, period: 5, mode: .cut)])
        try plan.validate()
        #expect(try JSONDecoder().decode(FaultPlan.self, from: JSONEncoder().encode(plan)) == plan)
        let short =
            #"{"faults": [{"kind": {"drop": {}}, "direction": "to_broker"}], "partitions": [{"start": 1, "duration": 2}]}"#
        #expect(
            try JSONDecoder().decode(FaultPlan.self, from: Data(short.utf8))
                == FaultPlan(faults: [Fault(.drop, direction: .toBroker)], partitions: [.init(start: 1, duration: 2)]))
    }

    @Test func plansThatMakeNoSenseAreRefused() {
        for plan in [
            FaultPlan(faults: [Fault(.drop, probability: 1.5)]), FaultPlan(faults: [Fault(.drop, probability: .nan)]),
            FaultPlan(faults: [Fault(.drop, topics: ["a#"])]), FaultPlan(faults: [Fault(.drop, topics: ["#/a"])]),
            FaultPlan(faults: [Fault(.delay(milliseconds: -1, jitter: 0))]), FaultPlan(bandwidth: 0),
            FaultPlan(faults: [Fault(.reorder(distance: 0, patience: 1))]),
            FaultPlan(faults: [Fault(.drop, limit: -1)]),
            FaultPlan(faults: [Fault(.damage(bytes: 0, wholePacket: false))]),
            FaultPlan(partitions: [.init(start: 0, duration: 5, period: 5)]),
            FaultPlan(partitions: [.init(start: 0, duration: .infinity)]),
            FaultPlan(faults: Array(repeating: Fault(.drop), count: 65)),
        ] { #expect(throws: ChaosError.self) { try plan.validate() } }
    }
}
