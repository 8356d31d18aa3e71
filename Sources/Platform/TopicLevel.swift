extension StringProtocol {
    /// Whether this can be one level of an MQTT topic (MQTT 5.0, section 4.7): not empty, without `/`, `+`, `#`, spaces, control
    /// characters and U+0000, at most 128 bytes.
    package var isTopicLevel: Bool {
        (1...128).contains(utf8.count)
            && unicodeScalars.allSatisfy {
                $0.value > 0x20 && $0.value != 0x7F && !"/+#".unicodeScalars.contains($0)
            }
    }
}
