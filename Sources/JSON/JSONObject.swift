/// The members of an object in their order, each key once.
///
/// Keys are compared by their bytes, as other JSON software does, and not by Unicode's canonical
/// equivalence, as `String` does.
package struct JSONObject: Sendable {
  package struct Member: Sendable {
    package let key: String
    package fileprivate(set) var value: JSON
  }

  /// Up to here a search through the keys is faster than hashing one.
  private static let linearSearchMax = 12

  package private(set) var members: [Member] = []
  /// Where each key is, kept only above `linearSearchMax`.
  private var positions: [JSONKey: Int] = [:]

  package init() {}

  package var count: Int { members.count }
  package var isEmpty: Bool { members.isEmpty }
  package var keys: [String] { members.map(\.key) }

  /// Setting nil removes the member; setting a new key appends it.
  package subscript(key: String) -> JSON? {
    get { position(of: key).map { members[$0].value } }
    set {
      switch (position(of: key), newValue) {
      case (let position?, let value?): members[position].value = value
      case (nil, let value?): add(key, value)
      case (let position?, nil):
        members.remove(at: position)
        index()
      case (nil, nil): break
      }
    }
  }

  /// False, without effect, where the key is there already.
  mutating func insert(_ key: String, _ value: JSON) -> Bool {
    guard position(of: key) == nil else { return false }
    add(key, value)
    return true
  }

  func contains(_ key: String) -> Bool {
    position(of: key) != nil
  }

  private mutating func add(_ key: String, _ value: JSON) {
    members.append(Member(key: key, value: value))
    if members.count == Self.linearSearchMax + 1 {
      index()
    } else if members.count > Self.linearSearchMax {
      positions[JSONKey(text: key)] = members.count - 1
    }
  }

  private mutating func index() {
    positions = [:]
    guard members.count > Self.linearSearchMax else { return }
    for (position, member) in members.enumerated() {
      positions[JSONKey(text: member.key)] = position
    }
  }

  private func position(of key: String) -> Int? {
    guard members.count <= Self.linearSearchMax else { return positions[JSONKey(text: key)] }
    return members.firstIndex { JSONKey(text: $0.key) == JSONKey(text: key) }
  }
}

extension JSONObject: Equatable {
  /// The order of members has no meaning (RFC 8259 section 4).
  package static func == (left: JSONObject, right: JSONObject) -> Bool {
    left.count == right.count && left.members.allSatisfy { right[$0.key] == $0.value }
  }
}

/// A key compared and hashed by its UTF-8 bytes.
private struct JSONKey: Hashable {
  let text: String

  static func == (left: JSONKey, right: JSONKey) -> Bool {
    left.text.utf8.count == right.text.utf8.count && left.text.utf8.elementsEqual(right.text.utf8)
  }

  func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}
