import CMosquitto

/// Messages out: into libmosquitto, or into ``OutgoingMessages`` while there is no connection.
extension MQTTConnection {
    /// Writes a message now, or hands it to libmosquitto where the socket is full. Its bytes are reserved already.
    func publish(
        _ topic: String, _ payload: UnsafeRawBufferPointer, _ qos: QoS, _ retain: Bool, _ properties: MQTTProperties?,
        _ completion: Completion?
    ) throws(MQTTError) {
        let bytes = OutgoingMessages.bytes(topic, payload.count)
        assert(budget.reserved >= outgoing.bytes + bytes, "what is sent was reserved before")
        guard state == .connected else {
            if qos != .atMostOnce, !isOver {
                outgoing.wait(
                    .init(
                        topic: topic, payload: Array(payload), qos: qos, retain: retain, properties: properties,
                        completion: completion))
                return
            }
            budget.release(bytes)
            throw notConnected
        }
        var number: Int32 = 0
        let result: Int32
        outgoing.beginHandingOver()
        do throws(MQTTError) {
            result = try handOver(topic, payload, qos, retain, properties, &number)
        } catch {
            outgoing.notHandedOver()
            budget.release(bytes)
            throw error
        }
        socket.didPublish()
        if result == MOSQ_ERR_SUCCESS.int {
            trial.sent(
                OutgoingMessages.packetBytes(topic, payload.count, qos, properties, isV5: isV5), now: .now)
            statistics.withLock {
                $0.messagesSent += 1
                $0.bytesSent += UInt64(payload.count)
            }
        } else {
            let isLoss = Self.losses.contains(result)
            guard isLoss, qos != .atMostOnce else {
                outgoing.notHandedOver()
                budget.release(bytes)
                if isLoss { loop.submit(.work { [self] in if handle.socket < 0 { lost(result) } }) }
                throw MQTTError.of(result, "cannot publish on \(topic.debugDescription)") ?? notConnected
            }
            // libmosquitto has queued it all the same, and sends it after the reconnect.
            loop.submit(.work { [self] in lost(result) })
        }
        let isDone = outgoing.handedOver(
            number,
            .init(bytes: bytes, qos: qos, completion: completion, topic: qos == .atMostOnce ? nil : topic))
        if isDone {
            budget.release(bytes)
            completion?(nil)
        }
    }

    /// Whether the broker takes a message of this kind, as far as it said so. Called on any thread.
    func check(
        _ topic: String, _ payloadCount: Int, _ qos: QoS, _ retain: Bool, _ properties: MQTTProperties?
    ) throws(MQTTError) {
        let (limits, refused) = (states.limits, states.refusedPacket)
        let bytes = OutgoingMessages.packetBytes(topic, payloadCount, qos, properties, isV5: isV5)
        if let limit = limits.maximumPacketSize, bytes > limit {
            throw errors.tooLarge(topic, bytes: bytes, limit: limit)
        }
        if let refused, bytes >= refused { throw errors.tooLarge(topic, bytes: bytes, refused: refused) }
        // Taking one away does no harm.
        guard !retain || limits.keepsRetained || payloadCount == 0 else { throw errors.notRetained(topic) }
    }

    private static let losses: [Int32] = [
        MOSQ_ERR_CONN_LOST.int, MOSQ_ERR_ERRNO.int, MOSQ_ERR_NO_CONN.int, MOSQ_ERR_TLS.int,
    ]

    private func handOver(
        _ topic: String, _ payload: UnsafeRawBufferPointer, _ qos: QoS, _ retain: Bool, _ properties: MQTTProperties?,
        _ number: inout Int32
    ) throws(MQTTError) -> Int32 {
        guard let properties, isV5 else {
            return handle.publish(topic, payload, qos, retain, nil, number: &number)
        }
        return try properties.withList { list throws(MQTTError) in
            handle.publish(topic, payload, qos, retain, list, number: &number)
        }
    }

    /// Sends what has waited for a connection.
    func flushWaiting() {
        while state == .connected, let message = outgoing.nextWaiting() {
            message.payload.withUnsafeBytes { bytes in
                do throws(MQTTError) {
                    try publish(
                        message.topic, bytes, message.qos, message.retain, message.properties, message.completion)
                } catch {
                    message.completion?(error)
                }
            }
        }
    }

    /// The connection is gone, and with it what was not written, at QoS 0. QoS 1 and 2 are kept by libmosquitto and sent again.
    func loseUnwritten() {
        assertOnLoop()
        for message in outgoing.takeLost(attempts: Self.longestPatience) {
            budget.release(message.bytes)
            if message.qos == .atMostOnce { statistics.withLock { $0.messagesLost += 1 } }
            message.completion?(
                message.topic.map {
                    errors.lostWheneverAsked("take \(message.bytes) bytes on \($0)", Self.longestPatience)
                } ?? errors.messageLost)
        }
    }

    /// There will be no connection any more.
    func forgetOutgoing(_ error: MQTTError) {
        assertOnLoop()
        let bytes = outgoing.bytes
        for completion in outgoing.takeAll() { completion(error) }
        budget.release(bytes)
    }

    /// libmosquitto has written a message (QoS 0), or the broker has acknowledged it.
    func onPublish(_ number: Int32, _ code: Int32) {
        assertOnLoop()
        guard let message = outgoing.acknowledged(number) else { return }
        budget.release(message.bytes)
        message.completion?(code >= 0x80 ? errors.refusedMessage(code, topic: message.topic) : nil)
        if outgoing.hasWaiting { loop.submit(.work { [self] in flushWaiting() }) }
    }
}
