/// The version of lcp, as devices tell each other.
public enum LCPVersion {
    public static let current = "0.2.0"
}
