/// Reads what a store's pages say.
package enum StorePages {
  /// The text of the first `<title>`; nil without one.
  package static func title(of html: String) -> String? {
    guard let open = html.range(ofTag: "<title"), let start = html[open...].firstIndex(of: ">")
    else {
      return nil
    }
    let content = html[html.index(after: start)...]
    guard let end = content.range(ofTag: "</title") else { return nil }
    return decoded(content[..<end])
  }

  /// Whether a page's title shows a store's: WordPress turns quotation marks, dashes and crosses into
  /// nicer ones, and adds a tagline, so only letters and digits are looked at.
  package static func shows(_ title: String, in pageTitle: String) -> Bool {
    let wanted = essence(title)
    return wanted.isEmpty || essence(pageTitle).firstRange(of: wanted) != nil
  }

  private static func essence(_ text: String) -> [Unicode.Scalar] {
    text.lowercased().unicodeScalars.compactMap { scalar in
      if scalar == "×" { return "x" }
      return scalar.properties.isAlphabetic || scalar.properties.numericType != nil ? scalar : nil
    }
  }

  private static let entities: [Substring: Character] = [
    "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "nbsp": " ",
  ]
  private static let entityCharactersMax = 10

  private static func decoded(_ text: Substring) -> String {
    var result = ""
    var rest = text
    while let character = rest.first {
      if character == "&", let semicolon = rest.prefix(entityCharactersMax).firstIndex(of: ";"),
        let meant = entity(rest[rest.index(after: rest.startIndex)..<semicolon])
      {
        result.append(meant)
        rest = rest[rest.index(after: semicolon)...]
      } else {
        result.append(character)
        rest = rest.dropFirst()
      }
    }
    return result
  }

  private static func entity(_ name: Substring) -> Character? {
    guard name.first == "#" else { return entities[name] }
    let digits = name.dropFirst()
    let number =
      digits.first == "x" || digits.first == "X"
      ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
    return number.flatMap { Unicode.Scalar($0) }.map { Character($0) }
  }
}

extension StringProtocol {
  /// Where an ASCII tag begins, in any case of its letters.
  fileprivate func range(ofTag tag: String) -> Index? {
    let wanted = Array(tag.utf8)
    var index = utf8.startIndex
    while index < utf8.endIndex {
      let found = utf8[index...].prefix(wanted.count)
      if found.count == wanted.count, zip(found, wanted).allSatisfy({ $0 == $1 || $0 | 0x20 == $1 })
      {
        return index
      }
      index = utf8.index(after: index)
    }
    return nil
  }
}
