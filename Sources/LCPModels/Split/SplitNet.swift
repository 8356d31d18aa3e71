extension Network {
    /// SplitNet's tree (Kim et al., 2017) over a number of devices that is a power of two.
    ///
    /// The layers with work are divided into as many stretches as the tree has levels, as evenly as skip connections allow: a
    /// stretch of level l stands in 2^l groups, each 2^l times narrower (rounded down, never below 1), which never talk to each
    /// other. At its start, both groups below a group need all that this one made: one of them stands on the same device, the
    /// other is sent it. The last layer is divided like the others, so every leaf knows its own classes only and sends their
    /// logits.
    ///
    /// - Returns: nil for other numbers of devices, and where the network has fewer classes or fewer places to part than needed.
    func splitNet(devices: Int) throws(NetworkError) -> SpreadingCost? {
        guard let (path, starts) = try splitNetPath(devices: devices) else { return nil }
        let last = path.count - 1
        let shapes = try Layer.shapes(of: path, input: input)
        var cost = SpreadingCost(
            method: .splitNet, devices: devices, parameters: 0, largestParameters: 0, macs: 0, largestMACs: 0,
            bytes: input.elementCount + 4 * classes, connectedPairs: 1 + devices)
        for (index, layer) in path.enumerated() {
            let level = starts.count { $0 <= index }
            let (parameters, macs) = (layer.parameterCount(input: shapes[index]), try layer.macs(input: shapes[index]))
            // The device of the first leaf has a group of every stretch.
            cost.largestParameters += parameters
            cost.largestMACs += macs
            if index == last {
                // The classes may not divide evenly.
                cost.macs += classes * shapes[index].elementCount
                cost.parameters += classes * (shapes[index].elementCount + 1)
            } else {
                cost.parameters += parameters << level
                cost.macs += macs << level
            }
            if starts.contains(index) {
                let parents = 1 << (level - 1)
                cost.bytes += 4 * shapes[index].elementCount * parents
                cost.connectedPairs += parents
            }
        }
        return cost
    }

    /// The layers from the root to a leaf, the classification layer among them, and the first layer of every stretch but the topmost;
    /// nil as in ``splitNet(devices:)``.
    package func splitNetPath(devices: Int) throws(NetworkError) -> (path: [Layer], starts: [Int])? {
        guard devices > 1, devices & (devices - 1) == 0, classes >= devices else { return nil }
        let levels = devices.trailingZeroBitCount
        let starts = stretches(levels: levels)
        guard starts.count == levels else { return nil }
        var whole = self
        whole.layers = allLayers
        let last = whole.layers.count - 1
        let path = try whole.resized { layer, width in
            layer == last ? (width + devices - 1) / devices : max(1, width >> starts.count { $0 <= layer })
        }
        return (path, starts)
    }

    /// The first layer of every stretch but the topmost; fewer than `levels` where there are not enough places.
    private func stretches(levels: Int) -> [Int] {
        let layers = allLayers
        // A stretch may begin at a layer with a width where no later layer reads across its start, except the very value that
        // the stretch begins with. An addition may not even do that: its summands have the same channels.
        var places: [Int] = []
        var reach = layers.count
        for (index, layer) in layers.enumerated().reversed() {
            switch layer {
            case .add(let earlier): reach = min(reach, earlier)
            default: for earlier in layer.references { reach = min(reach, earlier + 1) }
            }
            if index > 0, layer.width != nil, reach >= index { places.append(index) }
        }
        places.reverse()
        guard places.count >= levels else { return [] }
        let working = layers.indices.filter { layers[$0].width != nil }
        var starts: [Int] = []
        var next = 0
        for level in 1...levels {
            let ideal = working[level * working.count / (levels + 1)]
            // As many places have to be left as there are levels to come.
            let allowed = next...(places.count - 1 - (levels - level))
            let chosen = allowed.min { (abs(places[$0] - ideal), $0) < (abs(places[$1] - ideal), $1) } ?? next
            starts.append(places[chosen])
            next = chosen + 1
        }
        return starts
    }
}
