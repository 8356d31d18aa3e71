import CCrypto

/// The one thing that is told to OpenSSL before anybody uses it.
package enum OpenSSL {
    /// Leaves OpenSSL's memory to the system when the process ends. Its own clean-up at `exit` would take away what a thread needs
    /// that ends at the same moment: one of some hundred sensors was killed by that (SIGSEGV) when its work was done.
    package static let prepared: Void = {
        _ = OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
    }()
}
