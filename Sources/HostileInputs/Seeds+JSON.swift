extension Seeds {
    /// Damage that any JSON can have, made of a good one.
    package static func json(from good: [UInt8]) -> [[UInt8]] {
        var result =
            common + [
                Array(good.dropLast()), Array(good.prefix(good.count / 2)), good + good, [0xEF, 0xBB, 0xBF] + good,
            ]
        // Other encodings.
        result.append([0xFF, 0xFE] + good.flatMap { [$0, 0] })
        result.append([0, 0, 0xFE, 0xFF] + good.flatMap { [0, 0, 0, $0] })
        // An object with one more member: twice the same, deep, huge.
        let deep = [511, 512, 513, 10_000].flatMap { depth in
            [
                String(repeating: "[", count: depth) + String(repeating: "]", count: depth),
                String(repeating: "{\"a\":", count: depth) + "0" + String(repeating: "}", count: depth),
            ]
        }
        let values =
            deep + [
                String(repeating: "[", count: 10_000), "1e999999999", String(repeating: "9", count: 5000),
                "0." + String(repeating: "0", count: 5000) + "1", "\"\\ud800\"", "\"\\u0000\"", "NaN", "-", "00",
                "\"" + String(repeating: "a", count: 9000) + "\"",
            ]
        let rest = Array(good.drop { $0 != UInt8(ascii: "{") }.dropFirst())
        for value in values {
            result.append(Array("{\"zzz\":\(value),".utf8) + rest)
            result.append(Array(value.utf8))
        }
        return result
    }

    package static var statuses: [[UInt8]] {
        [
            #"{"state":"ready","role":"worker","id":"a","birth":"1f","branch":0,"branches":4,"model":"m","model_hash":"00","host":"h","pid":7}"#,
            #"{"state":"lost","role":"sensor","id":"\u001b[31m","birth":""}"#,
            #"{"state":"ready","state":"lost","role":"sensor","id":"a","birth":"1","pid":2147483648}"#,
            #"{"state":"ready","role":"worker","id":"a","birth":"1","branch":-9223372036854775808,"branches":1e18}"#,
        ].map { Array($0.utf8) }
    }

    /// The manifest of a model as it is announced over MQTT.
    package static var offers: [[UInt8]] {
        let (model, file) = (String(repeating: "0a", count: 16), String(repeating: "9f", count: 32))
        func offer(_ bytes: String, chunk: String = "131072", last: String = "merge.safetensors") -> String {
            #"{"format":1,"name":"lenet","model":"\#(model)","chunk_bytes":\#(chunk),"files":[{"name":"model.json","sha256":"\#(file)","bytes":\#(bytes)},{"name":"branch-0.safetensors","sha256":"\#(file)","bytes":1},{"name":"\#(last)","sha256":"\#(file)","bytes":1}]}"#
        }
        return [
            offer("4096"), offer("4294967296"), offer("9223372036854775807"), offer("-1"), offer("0"),
            offer("4096", chunk: "0"), offer("4096", last: "../../merge.safetensors"),
        ].map { Array($0.utf8) }
    }

    /// Which frames are computed under overload.
    package static var flowPlans: [[UInt8]] {
        [
            #"{"sensors":{"cam":{"rule":{"every":6,"phase":2},"before":{"every":1,"phase":0},"session":"7","from":"41"}}}"#,
            #"{"sensors":{"cam":{"rule":{"every":0,"phase":18446744073709551615},"before":{"every":1,"phase":-1},"session":"x","from":""}}}"#,
            #"{"sensors":{}}"#,
            #"{"lanes":[0,1,0,2],"sensors":{"cam":{"rule":{"every":128,"phase":0,"count":73},"before":{"every":1,"phase":0},"session":"7","from":"41"}}}"#,
            #"{"lanes":[],"sensors":{}}"#,
            #"{"lanes":[-1,99999999999],"sensors":{"cam":{"rule":{"every":3,"phase":0,"count":18446744073709551615},"before":{"every":0,"phase":0,"count":0},"session":"7","from":"41"}}}"#,
        ].map { Array($0.utf8) }
    }

    package static var tasks: [[UInt8]] {
        [
            #"{"birth":"1f","parts":[{"branches":4,"runs":[2],"lanes":[[0,1]]}],"ready":["adf8"],"alone":["adf8"],"dealt":true}"#,
            #"{"birth":"1f","parts":[{"branches":64,"runs":[0,63],"lanes":[[],[255]]},{"branches":1,"runs":[],"lanes":[]}],"ready":[],"alone":[]}"#,
            #"{"birth":"","parts":[{"branches":65,"runs":[64],"lanes":[[256]]}],"ready":[],"alone":[]}"#,
            #"{"birth":"","parts":[{"branches":2,"runs":[1,1],"lanes":[[0],[0],[0]]}],"ready":[],"alone":[]}"#,
        ].map { Array($0.utf8) }
    }

    package static var repeatRequests: [[UInt8]] {
        [
            #"{"session":"18446744073709551615","frame":"4711","branches":[0,63],"lane":1}"#,
            #"{"session":"7","frame":"-1","branches":[64],"lane":-1}"#,
            #"{"session":"7","frame":"1","branches":[],"lane":0}"#,
        ].map { Array($0.utf8) }
    }

    package static var frameLists: [[UInt8]] {
        [
            #"{"session":"18446744073709551615","frames":["4711","0"]}"#, #"{"session":"7","frames":[]}"#,
            #"{"session":"7","frames":["-1"]}"#,
        ].map { Array($0.utf8) }
    }

    package static var aggregatorBeats: [[UInt8]] {
        let member = #"{"id":"a","birth":"c25f","term":1}"#
        return [
            #"{"member":\#(member),"number":18446744073709551615,"models":["adf8"],"missed":3}"#,
            #"{"member":\#(member),"number":8,"models":[],"phase":"settled","view":{"number":3,"by":"a","members":[\#(member)]}}"#,
            #"{"member":\#(member),"number":8,"models":[],"streams":[{"sensor":"cam","session":"7","floor":"1","answered":["3","9"],"held":"cat","seen":[{"time":1},{"label":"cat","time":2}]}]}"#,
            #"{"member":\#(member),"number":8,"models":[],"streams":[{"sensor":"cam","session":"7","answered":["0","18446744073709551615"]}]}"#,
        ].map { Array($0.utf8) }
    }

    package static var canaryOffers: [[UInt8]] {
        offers.map { Array(#"{"share":0.05,"offer":"#.utf8) + $0 + Array("}".utf8) }
    }

    package static var modelRequests: [[UInt8]] {
        [
            #"{}"#, #"{"file":"\#(String(repeating: "a1", count: 32))"}"#,
            #"{"file":"\#(String(repeating: "0", count: 64))","given":true}"#, #"{"file":"x"}"#,
        ].map { Array($0.utf8) }
    }

    package static var predictions: [[UInt8]] {
        [
            #"{"sensor":"cam","frame":"41","class":7,"label":"7","probabilities":[0,0.000004,1],"branches":[0,1],"missing":[],"compute_ms":0.006,"latency_ms":0.412,"truth":7}"#,
            #"{"sensor":"cam","frame":"1","class":1,"label":"a","top":[{"class":1,"label":"a","probability":0.5}],"branches":[],"missing":[0],"compute_ms":0}"#,
            #"{"sensor":"\u001b[2J","frame":"\u001b[2J","class":-1,"label":"\u009b","branches":[],"missing":[],"compute_ms":1e308,"latency_ms":1e300}"#,
            #"{"sensor":"a","frame":"1","class":0,"label":"","probabilities":[1e300],"branches":[],"missing":[],"compute_ms":0}"#,
        ].map { Array($0.utf8) }
    }
}
