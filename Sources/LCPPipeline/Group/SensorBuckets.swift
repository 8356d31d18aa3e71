import CXXHash
import LCPWire

/// How sensors are shared out: each falls into one of a few buckets by its name, and every bucket has an owner.
enum SensorBuckets {
    /// How many there are.
    static let count = Topics.bucketCount

    /// The bucket of a sensor: XXH64 of its name, modulo ``count``.
    static func bucket(of sensor: String) -> Int { Int(hash(sensor) % UInt64(count)) }

    /// The owner of every bucket: by rendezvous hashing (Thaler and Ravishankar 1998), where nobody owns more than his share of
    /// the buckets, rounded up. Who comes or goes moves few besides his own.
    ///
    /// - Parameter names: of those who share, in any order.
    static func owners(_ names: [String]) -> [String?] {
        guard !names.isEmpty else { return Array(repeating: nil, count: count) }
        let most = (count + names.count - 1) / names.count
        var owned: [String: Int] = [:]
        return (0..<count).map { bucket in
            let owner = names.filter { owned[$0, default: 0] < most }
                .max { (hash("\($0)/\(bucket)"), $0) < (hash("\($1)/\(bucket)"), $1) }
            if let owner { owned[owner, default: 0] += 1 }
            return owner
        }
    }

    private static func hash(_ text: String) -> UInt64 {
        var text = text
        return text.withUTF8 { XXH64($0.baseAddress, $0.count, 0) }
    }
}
