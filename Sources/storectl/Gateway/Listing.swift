import JSON

/// All elements of a list, over its pages.
struct Listing {
  let name: String
  let elements: [JSON]
  /// Whether there are more than were asked for.
  let isCut: Bool

  /// As the gateway tells a list.
  var document: JSON { [name: .array(elements)] }
}

extension GatewayClient {
  private static let pageSize = 500

  /// - Parameters:
  ///   - name: the member of a page that has the elements.
  ///   - limit: the most to return; all when nil.
  func list(
    _ path: GatewayPath, _ name: String, _ query: [(name: String, value: String)] = [],
    limit: Int? = nil
  ) async throws -> Listing {
    var elements: [JSON] = []
    var token = ""
    repeat {
      let wanted = min(Self.pageSize, limit.map { $0 - elements.count } ?? Self.pageSize)
      var query = query + [("pageSize", "\(wanted)")]
      if !token.isEmpty { query.append(("pageToken", token)) }
      let page = try await call(.get(path, query))
      elements += page[name].array ?? []
      token = page["nextPageToken"].text
    } while !token.isEmpty && limit.map { elements.count < $0 } ?? true
    return Listing(name: name, elements: elements, isCut: !token.isEmpty)
  }
}
