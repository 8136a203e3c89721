import COpenSSL
import Glibc

/// An `X509` and the reading of its fields.
///
/// `@unchecked Sendable` holds because the certificate is never changed once it is shared, and what
/// OpenSSL caches inside it is behind a lock of its own.
final class CertificateHandle: @unchecked Sendable {
  let pointer: OpaquePointer

  init(owning pointer: OpaquePointer) {
    self.pointer = pointer
  }

  deinit { X509_free(pointer) }

  /// Nil unless `der` is one certificate and nothing else.
  static func parse(der: [UInt8]) -> CertificateHandle? {
    let parsed: OpaquePointer? = der.withUnsafeBufferPointer { der in
      var cursor = der.baseAddress
      guard let pointer = d2i_X509(nil, &cursor, der.count) else { return nil }
      guard let start = der.baseAddress, cursor == start + der.count else {
        X509_free(pointer)
        return nil
      }
      return pointer
    }
    OpenSSL.discardErrors()
    return parsed.map(CertificateHandle.init(owning:))
  }

  /// The certificates of a PEM text in their order, at most `countMax` of them.
  static func parse(pem: [UInt8], countMax: Int) -> [CertificateHandle] {
    var handles: [CertificateHandle] = []
    pem.withUnsafeBytes { pem in
      MemoryBIO(reading: pem).withPointer { input in
        while handles.count < countMax,
          let pointer = PEM_read_bio_X509(input, nil, { _, _, _, _ in -1 }, nil)
        {
          handles.append(CertificateHandle(owning: pointer))
        }
      }
    }
    OpenSSL.discardErrors()
    return handles
  }

  func der() -> [UInt8] {
    let count = i2d_X509(pointer, nil)
    OpenSSL.require(count > 0 ? 1 : 0, "i2d_X509")
    return [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, filled in
      var cursor = buffer.baseAddress
      filled = Int(i2d_X509(pointer, &cursor))
    }
  }

  func pem() -> String {
    let output = MemoryBIO()
    output.withPointer { output in
      OpenSSL.require(PEM_write_bio_X509(output, pointer), "PEM_write_bio_X509")
    }
    return output.takeText()
  }

  func subject() -> String {
    let output = MemoryBIO()
    output.withPointer { output in
      let written = X509_NAME_print_ex(
        output, X509_get_subject_name(pointer), 0, storeplane_name_format_rfc2253())
      OpenSSL.require(written >= 0 ? 1 : 0, "X509_NAME_print_ex")
    }
    return output.takeText()
  }

  /// Seconds since 1970; nil for a time that cannot be read.
  func notBefore() -> Int64? { Self.seconds(X509_get0_notBefore(pointer)) }

  func notAfter() -> Int64? { Self.seconds(X509_get0_notAfter(pointer)) }

  private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
    let epoch = ASN1_TIME_set(nil, 0)
    defer { ASN1_TIME_free(epoch) }
    var days: Int32 = 0
    var seconds: Int32 = 0
    guard let time, ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else {
      OpenSSL.discardErrors()
      return nil
    }
    return Int64(days) * Timestamp.secondsPerDay + Int64(seconds)
  }

  struct AlternativeNames {
    var uris: [String] = []
    var dnsNames: [String] = []
    var addresses: [String] = []
  }

  /// Nil if the extension is there and cannot be read, occurs twice, or has more than `countMax`
  /// names.
  func alternativeNames(countMax: Int) -> AlternativeNames? {
    var critical: Int32 = 0
    let found = X509_get_ext_d2i(pointer, NID_subject_alt_name, &critical, nil)
    guard let list = found.map(OpaquePointer.init) else {
      OpenSSL.discardErrors()
      return critical == -1 ? AlternativeNames() : nil
    }
    defer { GENERAL_NAMES_free(list) }
    let count = storeplane_GENERAL_NAMES_count(list)
    guard count <= countMax else { return nil }
    var names = AlternativeNames()
    for index in 0..<count {
      var kind: Int32 = 0
      guard let name = storeplane_GENERAL_NAMES_get(list, index),
        let value = GENERAL_NAME_get0_value(name, &kind)
      else { return nil }
      guard [GEN_URI, GEN_DNS, GEN_IPADD].contains(kind) else { continue }
      let bytes = Self.bytes(value.assumingMemoryBound(to: ASN1_STRING.self))
      guard let text = kind == GEN_IPADD ? Self.address(bytes) : Self.asciiText(bytes) else {
        return nil
      }
      switch kind {
      case GEN_URI: names.uris.append(text)
      case GEN_DNS: names.dnsNames.append(text)
      default: names.addresses.append(text)
      }
    }
    return names
  }

  private static func bytes(_ string: UnsafePointer<ASN1_STRING>) -> [UInt8] {
    let count = Int(ASN1_STRING_length(string))
    return [UInt8](UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: count))
  }

  /// Printable ASCII, which rules out the embedded NUL that fools comparison of C strings.
  private static func asciiText(_ bytes: [UInt8]) -> String? {
    guard bytes.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func address(_ bytes: [UInt8]) -> String? {
    let family: Int32
    switch bytes.count {
    case 4: family = AF_INET
    case 16: family = AF_INET6
    default: return nil
    }
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return nil }
    return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  func isSigned(by issuer: CertificateHandle) -> Bool {
    guard let key = X509_get0_pubkey(issuer.pointer),
      X509_check_issued(issuer.pointer, pointer) == X509_V_OK, X509_verify(pointer, key) == 1
    else {
      OpenSSL.discardErrors()
      return false
    }
    return true
  }

  func belongs(to key: KeyHandle) -> Bool {
    guard X509_check_private_key(pointer, key.pointer) == 1 else {
      OpenSSL.discardErrors()
      return false
    }
    return true
  }
}
