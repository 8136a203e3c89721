package import Configuration
import Cryptography
package import HTTP

/// Where an object store is, and the key of the platform there.
package struct ObjectStoreAccess: Sendable {
  package let address: WebAddress
  package let bucket: String
  package let region: String
  package let accessKey: Secret
  package let secretKey: Secret

  package init(
    address: WebAddress, bucket: String, region: String, accessKey: Secret, secretKey: Secret
  ) {
    self.address = address
    self.bucket = bucket
    self.region = region
    self.accessKey = accessKey
    self.secretKey = secretKey
  }

  private var standardPort: UInt16 { address.scheme == "https" ? 443 : 80 }

  package var port: UInt16 { address.port ?? standardPort }

  /// With the port, where it is not the scheme's own: as clients send it.
  package var authority: String {
    let host = address.host.contains(":") ? "[\(address.host)]" : address.host
    return port == standardPort ? host : "\(host):\(port)"
  }

  /// Of paths: what the address has of one.
  var prefix: String {
    var path = address.path
    while path.hasSuffix("/") { path.removeLast() }
    return path
  }
}

/// An address of one object that is good for one method and for a while, to whoever has it: AWS
/// Signature Version 4 in the query, with the payload unsigned.
package struct SignedAddress: Sendable {
  package let path: String
  package let query: String

  /// - Parameters:
  ///   - path: of the object, percent-encoded.
  ///   - seconds: how long it is good.
  ///   - now: seconds since 1970.
  package init(
    _ method: HTTPMethod, path: String, with access: ObjectStoreAccess, seconds: Int, now: Int64
  ) {
    self.path = path
    // ISO 8601's basic format.
    let time = Timestamp.text(now).filter { $0 != "-" && $0 != ":" }
    let date = time.prefix(8)
    let scope = "\(date)/\(access.region)/s3/aws4_request"
    let parameters = [
      ("X-Amz-Algorithm", Self.algorithm),
      ("X-Amz-Credential", "\(access.accessKey.revealed())/\(scope)"),
      ("X-Amz-Date", time), ("X-Amz-Expires", String(seconds)),
      ("X-Amz-SignedHeaders", "host"),
    ]
    let unsigned = parameters.map { "\($0.0)=\(PercentEncoding.encode($0.1))" }
      .joined(separator: "&")
    let request = [
      method.name, path, unsigned, "host:\(access.authority)", "", "host", "UNSIGNED-PAYLOAD",
    ].joined(separator: "\n")
    let text = [
      Self.algorithm, time, scope,
      Hexadecimal.encode(SHA256.digest(Array(request.utf8))),
    ].joined(separator: "\n")
    var key = Array("AWS4\(access.secretKey.revealed())".utf8)
    for part in [String(date), access.region, "s3", "aws4_request"] {
      key = Self.code(key, part)
    }
    query = unsigned + "&X-Amz-Signature=\(Hexadecimal.encode(Self.code(key, text)))"
  }

  private static let algorithm = "AWS4-HMAC-SHA256"

  private static func code(_ key: [UInt8], _ text: String) -> [UInt8] {
    HMACSHA256Key(SecretBytes(copying: key)).code(for: Array(text.utf8))
  }
}
