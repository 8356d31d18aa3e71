import CMosquitto

/// Messages in: subscriptions at the broker, and who gets what it sends.
extension MQTTConnection {
    func subscribe(
        _ filter: String, _ options: MQTTSubscribeOptions, _ buffer: MessageBuffer, _ completion: @escaping Completion
    ) {
        guard !isOver else {
            completion(notConnected)
            return
        }
        let entry = subscriptions.add(filter, options, buffer, completion)
        if state == .connected { sendSubscribe(entry) }
    }

    func sendSubscribe(_ entry: SubscriptionTable.Entry) {
        assertOnLoop()
        var number: Int32 = 0
        let identifier = states.limits.numbersSubscriptions ? entry.identifier : 0
        let result = handle.subscribe(entry.filter, entry.options, identifier: identifier, number: &number)
        if result == MOSQ_ERR_SUCCESS.int {
            subscriptions.asked(number, for: entry)
        } else if let error = MQTTError.of(result, "cannot subscribe to \(entry.filter.debugDescription)") {
            // Where the connection went, the subscription comes with the next one.
            guard ![.connectionLost, .notConnected, .unreachable].contains(error.code) else { return }
            subscriptions.forget(entry)
            entry.answer(error)
            entry.finish(error)
        }
    }

    /// Gives a subscription up that the broker has not acknowledged yet.
    func abandon(_ buffer: MessageBuffer, _ filter: String) {
        assertOnLoop()
        guard let entry = subscriptions.entries(of: buffer).first(where: { $0.filter == filter }) else { return }
        entry.answer(errors.closed, to: buffer)
        remove(buffer, from: filter)
        if subscriptions.entries(of: buffer).isEmpty { buffer.finish(nil) }
    }

    /// Ends a consumer's subscriptions; what the broker has sent until it acknowledges that is still delivered. `completion` is
    /// called then, or when the limit is over, for a broker that hangs.
    func end(_ buffer: MessageBuffer, within limit: Duration?, _ completion: @escaping @Sendable () -> Void) {
        assertOnLoop()
        // Where another consumer has the same filter, the broker goes on sending.
        for entry in subscriptions.entries(of: buffer) where entry.buffers.count > 1 {
            _ = subscriptions.remove(buffer, from: entry.filter)
        }
        let own = subscriptions.entries(of: buffer)
        let numbers = state == .connected ? own.map { handle.unsubscribe($0.filter) } : []
        guard let last = own.indices.last, numbers.allSatisfy({ $0 != nil }), let number = numbers.last ?? nil else {
            remove(buffer)
            buffer.finish(nil)
            return completion()
        }
        for (index, number) in zip(own.indices, numbers.compactMap(\.self)) {
            subscriptions.asked(number, toEnd: own[index], index == last ? completion : nil)
        }
        guard let limit else { return }
        _ = scheduler(limit) { [weak self] in
            self?.subscriptions.ended(number, of: buffer)?.finish()
            self?.remove(buffer)
        }
    }

    /// Takes a consumer away from a filter, or from all that it has.
    func remove(_ buffer: MessageBuffer, from filter: String? = nil) {
        assertOnLoop()
        guard !subscriptions.entries(of: buffer).isEmpty else { return }
        let last = subscriptions.remove(buffer, from: filter)
        socket.roomIsBack()
        guard state == .connected else { return }
        for entry in last { handle.unsubscribe(entry.filter) }
    }

    // MARK: Callbacks, made inside a call of ours, with libmosquitto's lock held

    func onSubscribe(_ number: Int32, _ granted: Int32?) {
        assertOnLoop()
        let refusal = granted.flatMap { $0 >= 0x80 ? $0 : nil }
        guard let entry = subscriptions.answered(number, isGranted: refusal == nil) else { return }
        guard let refusal else { return entry.answer(nil) }
        let error = errors.refusedSubscription(refusal, filter: entry.filter)
        entry.answer(error)
        entry.finish(error)
    }

    func onUnsubscribe(_ number: Int32) {
        assertOnLoop()
        subscriptions.ended(number)?.finish()
    }

    func onMessage(_ message: mosquitto_message, _ list: OpaquePointer?) {
        assertOnLoop()
        guard let name = message.topic else { return }
        var identified: SubscriptionTable.Entry?
        var more: [SubscriptionTable.Entry] = []
        let properties = MQTTProperties.read(list) { identifier in
            guard let entry = subscriptions.entry(identifier: identifier) else { return }
            if identified == nil { identified = entry } else { more.append(entry) }
        }
        let view = MQTTMessageView(
            topic: topics.string(name),
            payload: UnsafeRawBufferPointer(start: message.payload, count: Int(max(0, message.payloadlen))),
            qos: QoS(rawValue: message.qos) ?? .atMostOnce, retained: message.retain, properties: properties,
            received: .now)
        statistics.withLock {
            $0.messagesReceived += 1
            $0.bytesReceived += UInt64(view.payload.count)
        }
        if let identified {
            deliver(view, to: identified)
            for entry in more { deliver(view, to: entry) }
        } else if let only = subscriptions.only {
            deliver(view, to: only)
        } else {
            let isNumbered = isV5 && states.limits.numbersSubscriptions
            for entry in subscriptions.entries where entry.takes(unidentified: view.topic, isV5: isNumbered) {
                deliver(view, to: entry)
            }
        }
    }

    private func deliver(_ view: MQTTMessageView, to entry: SubscriptionTable.Entry) {
        for buffer in entry.buffers {
            if let handler = buffer.handler {
                guard !buffer.isFinished else { continue }
                socket.call(handler, view)
            } else if buffer.accepts.map({ socket.call($0, view) }) != false,
                buffer.deliver(view.message, mayStopReading: socket.mayStopReading) == .full
            {
                socket.stopReading()
            }
        }
    }
}
