import LCPModels
import LCPPipeline
import LCPWire
import MQTT
import Signals

/// A sensor whose frames are a signal's windows.
extension Sensor {
    /// Subscribes where the numbers come over MQTT.
    func startSignal() async throws {
        guard let feed, case .topic(let topic) = feed.source.origin else { return }
        subscriptions.append(
            try await session.client.subscribe(to: topic, options: .init(qos: .atLeastOnce)) {
                [messages = feed.messages] in
                messages.put(Array($0.payload))
            })
    }

    /// Waits until it is known what the pipeline's model takes.
    ///
    /// - Throws: ``PipelineError`` where the source has other numbers.
    func meetSignal() async throws {
        guard let feed else { return }
        feed.tell = { [log = session.log] in log($0) }
        var isTold = false
        while plan.model == nil, feed.source.ownSignal == nil, !Task.isCancelled {
            if !isTold {
                session.log(
                    "waits for a model, which says what the numbers are: push one (lcp model push), or name it with --model, or "
                        + "the fields with --fields")
            }
            isTold = true
            try await ContinuousClock().sleep(for: .milliseconds(100))
        }
        try adoptSignal()
    }

    /// Reads for the model that is known now.
    func adoptSignal() throws {
        guard let feed else { return }
        if let model = plan.model {
            try source.check(fits: model)
            guard let signal = model.preprocessing.signal else { return }
            if let window = feed.source.window, window != model.network.input.width {
                throw PipelineError(
                    .modelMismatch,
                    "--window is \(window), and \(model.name.printable) takes windows of \(model.network.input.width): leave it out"
                )
            }
            try feed.adopt(signal, model.network.input)
        } else if let signal = feed.source.ownSignal {
            let shape = FeatureMapShape(height: 1, width: feed.source.window ?? 1, channels: signal.fields.count)
            plan.setShape(shape)
            try feed.adopt(signal, shape)
        }
    }

    /// The next window as a frame; nil at the end.
    func nextWindow() async throws -> SensorFrame? {
        guard let feed else { return nil }
        let window = try await feed.next()
        guard let window else { return nil }
        let label = window.label.flatMap { name in
            plan.model.map { $0.labels.firstIndex(of: name).map(Int32.init) ?? -1 }
        }
        return SensorFrame(
            pixels: window.values.withUnsafeBytes { Array($0) }, label: label ?? -1, shape: plan.shape, isSignal: true)
    }
}
