import COpenSSL
import Glibc
import Synchronization

/// Why a TLS connection was refused, in words an operator can act on.
package struct TLSError: Error, CustomStringConvertible, Equatable {
  package enum Reason: String, Sendable {
    case badCredentials = "cannot load the certificate, key or authorities"
    case certificateExpired = "the peer's certificate has expired"
    case certificateNotYetValid = "the peer's certificate is not valid yet"
    case unknownAuthority = "the peer's certificate is signed by an unknown authority"
    case wrongName = "the peer's certificate is for another name"
    case noPeerCertificate = "the peer sent no certificate"
    case refusedByPeer = "the peer refused our certificate or parameters"
    case notTLS = "the peer does not speak TLS"
    case noApplicationProtocol = "the peer agrees to no application protocol of ours"
    case `protocol` = "the TLS exchange failed"

    /// As metrics name it.
    package var name: String {
      switch self {
      case .badCredentials: "bad_credentials"
      case .certificateExpired: "certificate_expired"
      case .certificateNotYetValid: "certificate_not_yet_valid"
      case .unknownAuthority: "unknown_authority"
      case .wrongName: "wrong_name"
      case .noPeerCertificate: "no_certificate"
      case .refusedByPeer: "refused_by_peer"
      case .notTLS: "not_tls"
      case .noApplicationProtocol: "no_application_protocol"
      case .protocol: "protocol"
      }
    }
  }

  package let reason: Reason
  package let detail: String

  package init(_ reason: Reason, _ detail: String = "") {
    self.reason = reason
    self.detail = detail
  }

  package var description: String {
    detail.isEmpty ? reason.rawValue : "\(reason.rawValue) (\(detail))"
  }
}

/// Which files a side of a TLS connection uses, and what it asks of the other.
///
/// Credentials that exist in memory only are given as `TLSCredentials`, and come before the files.
package struct TLSConfiguration: Sendable {
  /// PEM: our certificate and what chains it to an authority. Nil for a client that sends none.
  package var certificateFile: String?
  /// PEM: the certificate's private key.
  package var keyFile: String?
  /// PEM: the authorities we trust. Nil for the system's.
  package var authoritiesFile: String?
  /// A server: refuse clients that send no certificate of a trusted authority.
  package var requiresClientCertificate = false
  /// Application protocols, the preferred one first. A peer that agrees to none is refused, unless
  /// `http/1.1` is among them, which is what those speak who name none.
  package var applicationProtocols: [String] = []
  /// What is given as bytes instead of as files.
  package var inMemory = TLSCredentials()
  /// A client that takes any server for the right one, and so tells its secrets to anyone in between.
  /// For throwaway clusters whose operator has asked for it in so many words.
  package var trustsAnyServer = false

  package init(
    certificateFile: String? = nil, keyFile: String? = nil, authoritiesFile: String? = nil,
    requiresClientCertificate: Bool = false, applicationProtocols: [String] = []
  ) {
    self.certificateFile = certificateFile
    self.keyFile = keyFile
    self.authoritiesFile = authoritiesFile
    self.requiresClientCertificate = requiresClientCertificate
    self.applicationProtocols = applicationProtocols
  }
}

/// What the peer proved in the handshake.
package struct PeerIdentity: Sendable, Equatable {
  /// The SPIFFE URI of the certificate's subject alternative names, such as `spiffe://storeplane/gateway`.
  package let spiffe: String?
  /// The subject in one line, for logs.
  package let subject: String
}

/// Whom a client expects to find behind an address.
package enum ExpectedServer: Sendable, Equatable {
  case hostName(String)
  case ipAddress(String)
  /// The SPIFFE URI that the certificate must carry, whatever name it was reached by.
  case spiffe(String)
}

/// Loaded credentials and rules, shared by all sessions of one side. They can be renewed: sessions keep
/// what they began with.
package final class TLSContext: @unchecked Sendable {
  /// What the files said when they were read.
  package final class Credentials: @unchecked Sendable {
    fileprivate let context: OpaquePointer

    fileprivate init(_ configuration: TLSConfiguration, isServer: Bool) throws(TLSError) {
      guard let context = SSL_CTX_new(isServer ? TLS_server_method() : TLS_client_method()) else {
        throw TLSContext.error(.badCredentials, "")
      }
      self.context = context
      _ = storeplane_SSL_CTX_set_minimum_version(context, TLS1_2_VERSION)
      // Of TLS 1.2 only what RFC 9113 appendix A does not forbid; TLS 1.3 has nothing else.
      guard SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1,
        storeplane_SSL_CTX_forbid_resumption(context) == 1
      else { throw TLSContext.error(.badCredentials, "") }
      // Idle connections keep no buffers; partial writes and moved buffers suit one buffer a loop.
      let mode =
        SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
        | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
      _ = storeplane_SSL_CTX_set_mode(context, Int(mode))
      _ = storeplane_SSL_CTX_set_read_ahead(context, 1)
      try load(configuration)
      try configuration.inMemory.load(into: context)
    }

    deinit { SSL_CTX_free(context) }

    private func load(_ configuration: TLSConfiguration) throws(TLSError) {
      if let file = configuration.certificateFile,
        SSL_CTX_use_certificate_chain_file(context, file) != 1
      {
        throw TLSContext.error(.badCredentials, "certificate \(file)")
      }
      if let file = configuration.keyFile {
        if SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) != 1 {
          throw TLSContext.error(.badCredentials, "key \(file)")
        }
        if SSL_CTX_check_private_key(context) != 1 {
          throw TLSContext.error(
            .badCredentials, "key \(file) does not belong to the certificate")
        }
      }
      if let file = configuration.authoritiesFile {
        if SSL_CTX_load_verify_locations(context, file, nil) != 1 {
          throw TLSContext.error(.badCredentials, "authorities \(file)")
        }
        SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(file))
      } else if configuration.inMemory.authorities == nil,
        SSL_CTX_set_default_verify_paths(context) != 1
      {
        throw TLSContext.error(.badCredentials, "the system's authorities")
      }
    }

    /// When our certificate expires, in seconds since 1970; nil where there is none.
    package var expiry: Int64? {
      guard let certificate = SSL_CTX_get0_certificate(context) else { return nil }
      var time = tm()
      guard ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) == 1 else { return nil }
      return Int64(timegm(&time))
    }

    fileprivate func checkValidity() throws(TLSError) {
      guard let certificate = SSL_CTX_get0_certificate(context) else { return }
      if X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0 {
        throw TLSError(.badCredentials, "our certificate has expired")
      }
      if X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0 {
        throw TLSError(.badCredentials, "our certificate is not valid yet")
      }
    }
  }

  private let configuration: TLSConfiguration
  private let isServer: Bool
  fileprivate var trustsAnyServer: Bool { configuration.trustsAnyServer }
  private let protocols: UnsafeMutableBufferPointer<UInt8>
  private let current: Mutex<Credentials>

  private init(_ configuration: TLSConfiguration, isServer: Bool) throws(TLSError) {
    let credentials = try Credentials(configuration, isServer: isServer)
    self.configuration = configuration
    self.isServer = isServer
    let wire = configuration.applicationProtocols.flatMap {
      [UInt8($0.utf8.count)] + Array($0.utf8)
    }
    protocols = .allocate(capacity: wire.count)
    _ = protocols.initialize(from: wire)
    current = Mutex(credentials)
    setRules(of: credentials.context)
  }

  deinit { protocols.deallocate() }

  package static func server(_ configuration: TLSConfiguration) throws(TLSError) -> TLSContext {
    try TLSContext(configuration, isServer: true)
  }

  package static func client(_ configuration: TLSConfiguration) throws(TLSError) -> TLSContext {
    try TLSContext(configuration, isServer: false)
  }

  // MARK: Renewal

  package var credentials: Credentials { current.withLock { $0 } }

  /// Reads the files again, without using them yet. Throws where they cannot be used, and where our
  /// certificate is not valid now: what there is already is at least as good.
  package func readCredentials() throws(TLSError) -> Credentials {
    let credentials = try Credentials(configuration, isServer: isServer)
    try credentials.checkValidity()
    setRules(of: credentials.context)
    return credentials
  }

  /// Takes what `readCredentials` gave for the sessions to come.
  package func use(_ credentials: Credentials) { current.withLock { $0 = credentials } }

  private func setRules(of context: OpaquePointer) {
    guard isServer else {
      let verification = configuration.trustsAnyServer ? SSL_VERIFY_NONE : SSL_VERIFY_PEER
      SSL_CTX_set_verify(context, verification, nil)
      if !protocols.isEmpty {
        SSL_CTX_set_alpn_protos(context, protocols.baseAddress, UInt32(protocols.count))
      }
      return
    }
    if configuration.requiresClientCertificate {
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    }
    selectProtocolsAsServer(context)
  }

  fileprivate var requiresProtocol: Bool {
    !protocols.isEmpty && !configuration.applicationProtocols.contains("http/1.1")
  }

  private func selectProtocolsAsServer(_ context: OpaquePointer) {
    if protocols.isEmpty { return }
    if requiresProtocol { refuseClientsThatNameNoProtocol(context) }
    SSL_CTX_set_alpn_select_cb(
      context,
      { _, out, outLength, offered, offeredLength, argument in
        guard let argument, let out, let outLength else { return SSL_TLSEXT_ERR_NOACK }
        let ours = Unmanaged<TLSContext>.fromOpaque(argument).takeUnretainedValue().protocols
        var selected: UnsafeMutablePointer<UInt8>?
        let result = SSL_select_next_proto(
          &selected, outLength, ours.baseAddress, UInt32(ours.count), offered, offeredLength)
        out.pointee = UnsafePointer(selected)
        return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  private func refuseClientsThatNameNoProtocol(_ context: OpaquePointer) {
    SSL_CTX_set_client_hello_cb(
      context,
      { session, alert, _ in
        let negotiation = UInt32(TLSEXT_TYPE_application_layer_protocol_negotiation)
        var content: UnsafePointer<UInt8>?
        var length = 0
        if SSL_client_hello_get0_ext(session, negotiation, &content, &length) == 1 {
          return SSL_CLIENT_HELLO_SUCCESS
        }
        alert?.pointee = SSL_AD_NO_APPLICATION_PROTOCOL
        return SSL_CLIENT_HELLO_ERROR
      }, nil)
  }

  /// The oldest entry of OpenSSL's error queue as text; the queue is emptied.
  fileprivate static func error(_ reason: TLSError.Reason, _ detail: String) -> TLSError {
    let code = ERR_get_error()
    ERR_clear_error()
    guard code != 0, let text = ERR_reason_error_string(code) else {
      return TLSError(reason, detail)
    }
    let cause = String(cString: text)
    return TLSError(reason, detail.isEmpty ? cause : "\(detail): \(cause)")
  }
}

/// One TLS session over a socket's descriptor.
final class TLSSession {
  enum Progress { case done, needsRead, needsWrite, ended }

  private let session: OpaquePointer
  private let context: TLSContext
  private let expected: ExpectedServer?

  /// As a server when `expected` is nil.
  init(
    _ context: TLSContext, descriptor: Int32, expecting expected: ExpectedServer?
  ) throws(TLSError) {
    // It holds the credentials; the context holds the names of its protocols.
    guard let session = SSL_new(context.credentials.context) else {
      throw TLSContext.error(.protocol, "")
    }
    self.session = session
    self.context = context
    self.expected = expected
    SSL_set_fd(session, descriptor)
    guard let expected else {
      SSL_set_accept_state(session)
      return
    }
    SSL_set_connect_state(session)
    try expect(expected)
  }

  /// OpenSSL takes an empty name for none to be checked: what cannot be checked is refused.
  private func expect(_ expected: ExpectedServer) throws(TLSError) {
    let parameters = SSL_get0_param(session)
    let isSet: Bool
    switch expected {
    case .hostName(let name):
      isSet =
        storeplane_SSL_set_server_name(session, name) == 1
        && X509_VERIFY_PARAM_set1_host(parameters, name, 0) == 1 && !name.isEmpty
    case .ipAddress(let address):
      isSet = X509_VERIFY_PARAM_set1_ip_asc(parameters, address) == 1
    case .spiffe:
      isSet = true  // Compared after the handshake; the chain is verified in it.
    }
    guard isSet || context.trustsAnyServer else {
      throw TLSContext.error(.wrongName, "\(expected) names no server: set whom to expect")
    }
  }

  deinit { SSL_free(session) }

  // What an error means is read from the thread's queue, in which others may have left something.

  func handshake() throws(TLSError) -> Progress {
    ERR_clear_error()
    let result = SSL_do_handshake(session)
    guard result == 1 else { return try progress(result) }
    if case .spiffe(let wanted) = expected, peerIdentity()?.spiffe != wanted {
      throw TLSError(.wrongName, "wanted \(wanted), found \(peerIdentity()?.spiffe ?? "none")")
    }
    if context.requiresProtocol, applicationProtocol == nil {
      throw TLSError(.noApplicationProtocol, "it named none")
    }
    return .done
  }

  /// Bytes read, or why none.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(TLSError) -> (Int, Progress) {
    var count = 0
    ERR_clear_error()
    let result = SSL_read_ex(session, buffer.baseAddress, buffer.count, &count)
    return result == 1 ? (count, .done) : (0, try progress(result))
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(TLSError) -> (Int, Progress) {
    var count = 0
    ERR_clear_error()
    let result = SSL_write_ex(session, bytes.baseAddress, bytes.count, &count)
    return result == 1 ? (count, .done) : (0, try progress(result))
  }

  /// Sends the closing alert if the socket takes it; never waits for the peer's.
  func shutdown() {
    SSL_shutdown(session)
    ERR_clear_error()
  }

  var applicationProtocol: String? {
    var name: UnsafePointer<UInt8>?
    var length: UInt32 = 0
    SSL_get0_alpn_selected(session, &name, &length)
    guard let name, length > 0 else { return nil }
    return String(decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
  }

  private func progress(_ result: Int32) throws(TLSError) -> Progress {
    let code = SSL_get_error(session, result)
    switch code {
    case SSL_ERROR_WANT_READ: return .needsRead
    case SSL_ERROR_WANT_WRITE: return .needsWrite
    case SSL_ERROR_ZERO_RETURN: return .ended
    default: throw failure(code)
    }
  }

  private func failure(_ code: Int32) -> TLSError {
    if code == SSL_ERROR_SYSCALL, ERR_peek_error() == 0 {
      return TLSError(.protocol, "the peer closed the connection in the middle of the exchange")
    }
    let last = ERR_peek_error()
    let verification = SSL_get_verify_result(session)
    if verification != Int(X509_V_OK) { return verificationFailure(verification) }
    switch Int32(truncatingIfNeeded: last & 0x7F_FFFF) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return TLSContext.error(.noPeerCertificate, "")
    case SSL_R_HTTP_REQUEST, SSL_R_WRONG_VERSION_NUMBER: return TLSContext.error(.notTLS, "")
    case SSL_R_NO_APPLICATION_PROTOCOL, SSL_R_CALLBACK_FAILED:
      return TLSContext.error(.noApplicationProtocol, "")
    case 1000...1255: return TLSContext.error(.refusedByPeer, "")
    default: return TLSContext.error(.protocol, "")
    }
  }

  private func verificationFailure(_ code: Int) -> TLSError {
    ERR_clear_error()
    let text = String(cString: X509_verify_cert_error_string(code))
    switch Int32(code) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return TLSError(.certificateExpired, text)
    case X509_V_ERR_CERT_NOT_YET_VALID: return TLSError(.certificateNotYetValid, text)
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
      return TLSError(.wrongName, text)
    default: return TLSError(.unknownAuthority, text)
    }
  }

  func peerIdentity() -> PeerIdentity? {
    guard let certificate = SSL_get1_peer_certificate(session) else { return nil }
    defer { X509_free(certificate) }
    var subject = [CChar](repeating: 0, count: 256)
    X509_NAME_oneline(X509_get_subject_name(certificate), &subject, Int32(subject.count))
    let line = String(
      decoding: subject.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return PeerIdentity(spiffe: TLSSession.spiffe(of: certificate), subject: line)
  }

  /// The one `spiffe://` URI among the subject alternative names; none where there are several,
  /// which the SPIFFE standard forbids.
  private static func spiffe(of certificate: OpaquePointer) -> String? {
    guard
      let names = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil)
    else { return nil }
    let list = OpaquePointer(names)
    defer { GENERAL_NAMES_free(list) }
    var found: [String] = []
    for index in 0..<storeplane_GENERAL_NAMES_count(list) {
      guard let name = storeplane_GENERAL_NAMES_get(list, index)?.pointee, name.type == GEN_URI,
        let value = name.d.uniformResourceIdentifier, let data = ASN1_STRING_get0_data(value)
      else { continue }
      let bytes = UnsafeBufferPointer(start: data, count: Int(ASN1_STRING_length(value)))
      let uri = String(decoding: bytes, as: UTF8.self)
      if uri.hasPrefix("spiffe://") { found.append(uri) }
    }
    return found.count == 1 ? found[0] : nil
  }
}
