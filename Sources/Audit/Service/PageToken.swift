import Contracts
import Cryptography
import Protobuf

/// Where the next page of a list begins, as a text that says nothing to its reader.
///
/// It is bound to the tenant and to the request's filter by a digest over both and itself, so that one
/// that was cut, altered or brought along from another list is refused. The digest has no key: a token
/// gives no right, since what is read with it is still of the caller's tenant only.
struct PageToken {
  private static let version: UInt8 = 1
  private static let digestLength = 16
  private static let length = 1 + 4 * 8 + digestLength

  let key: EventKey

  init(key: EventKey) { self.key = key }

  /// Nil where `text` is no token of this list.
  init?(_ text: String, tenant: String, request: AuditV1.ListEventsRequest) {
    // Four characters hold three bytes.
    guard text.utf8.count <= PageToken.length * 4 / 3 + 1,
      let bytes = try? Base64.url.decode(text), bytes.count == PageToken.length
    else { return nil }
    let content = Array(bytes.dropLast(PageToken.digestLength))
    guard content.first == PageToken.version,
      PageToken.digest(content, tenant, request) == Array(bytes.suffix(PageToken.digestLength))
    else { return nil }
    func number(_ index: Int) -> Int64 {
      Int64(
        bitPattern: content[(1 + index * 8)..<(9 + index * 8)].reduce(0) { $0 << 8 | UInt64($1) })
    }
    key = EventKey(
      recorded: number(0), occurred: number(1), revision: number(2), position: number(3))
  }

  func text(tenant: String, request: AuditV1.ListEventsRequest) -> String {
    var bytes = [PageToken.version]
    for number in [key.recorded, key.occurred, key.revision, key.position] {
      withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }
    return Base64.url.encode(bytes + PageToken.digest(bytes, tenant, request))
  }

  private static func digest(
    _ content: [UInt8], _ tenant: String, _ request: AuditV1.ListEventsRequest
  ) -> [UInt8] {
    // All that decides which events there are and in which order; the size of pages may change.
    var list = request
    list.pageToken = ""
    list.pageSize = 0
    if list.order == .unspecified { list.order = .newestFirst }
    let name = Array(tenant.utf8)
    let length = withUnsafeBytes(of: UInt32(name.count).bigEndian) { Array($0) }
    return Array(SHA256.digest(content + length + name + list.serialized()).prefix(digestLength))
  }
}
