import Glibc
import Testing

@testable import MQTT

@Suite("What is said of a connection that fails") struct ConnectionErrorsTests {
    /// Of libmosquitto (MOSQ_ERR_CONN_LOST, MOSQ_ERR_PROTOCOL, MOSQ_ERR_ERRNO, MOSQ_ERR_EAI).
    private static let (connectionLost, protocolError) = (7 as Int32, 2 as Int32)
    private static let (errno, unknownName) = (14 as Int32, 15 as Int32)

    private static func errors(_ address: String, certificate: String? = nil) throws -> ConnectionErrors {
        var configuration = MQTTConfiguration(address: try MQTTAddress(address))
        configuration.tls.certificateFile = certificate
        return ConnectionErrors(configuration, clientID: "c")
    }

    @Test(
        "Behind TLS a connection that ends before the answer is a matter of the client's certificate",
        arguments: [nil, "pi.crt"])
    func certificates(certificate: String?) throws {
        let errors = try Self.errors("mqtts://broker", certificate: certificate)
        let words =
            certificate == nil ? "asks for a client certificate (--cert" : "does not take the client certificate"
        let ended = errors.endedBeforeAnswer(Self.connectionLost)
        let lost = errors.lost(Self.protocolError, wasConnected: false, systemError: 0, detail: nil)
        #expect(ended.description.contains(words) && lost.description.contains(words))
    }

    @Test("Without TLS nothing is said of certificates")
    func plain() throws {
        let errors = try Self.errors("mqtt://broker")
        #expect(errors.endedBeforeAnswer(Self.connectionLost).description.contains("is it a broker's port"))
        let lost = errors.lost(Self.protocolError, wasConnected: false, systemError: 0, detail: nil)
        #expect(!lost.description.contains("certificate"))
    }

    @Test(
        "Where nobody listens or no such name is known, it is said what to do",
        arguments: [
            ("mqtt://localhost", "`lcp broker` starts one"), ("mqtts://127.0.0.2", "`lcp broker` starts one"),
            ("mqtt://[::1]:1884", "`lcp broker` starts one"), ("unix:/run/x", "`lcp broker` starts one"),
            ("mqtt://pi.local", "for other machines?"), ("mqtt://10.0.0.1", "for other machines?"),
        ])
    func advice(address: String, words: String) throws {
        let errors = try Self.errors(address)
        func said(_ result: Int32, _ systemError: Int32) -> String {
            errors.cannotConnect(result, systemError: systemError, detail: nil)?.description ?? ""
        }
        #expect(
            said(Self.errno, ECONNREFUSED).contains("Connection refused: is a broker running there")
                && said(Self.errno, ECONNREFUSED).contains(words))
        #expect(said(Self.errno, EHOSTUNREACH) == "cannot connect to \(try MQTTAddress(address)): No route to host")
        #expect(said(Self.unknownName, 0).contains("mDNS") == address.hasSuffix(".local"))
    }

    @Test("A broker that takes nobody in at the moment is waited for, one that does not take this client is not")
    func refusals() throws {
        let errors = try Self.errors("mqtt://broker")
        // Server unavailable, server busy, quota exceeded, connection rate exceeded (MQTT 5, section 3.2.2.2).
        for code: Int32 in [0x88, 0x89, 0x97, 0x9F] { #expect(errors.refused(code, isV5: true).code == .unavailable) }
        #expect(errors.refused(3, isV5: false).code == .unavailable)
        #expect(errors.refused(3, isV5: false).description.contains("refused the connection"))
        for code: Int32 in [0x84, 0x85, 0x86, 0x87, 0x8A, 0x9D] {
            #expect(errors.refused(code, isV5: true).code == .refused)
        }
        for code: Int32 in [1, 2, 4, 5] { #expect(errors.refused(code, isV5: false).code == .refused) }
    }
}
