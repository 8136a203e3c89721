import Testing

@testable import ServiceRuntime

@Suite struct PageTokenTests {
  @Test(arguments: [
    ["a"], ["zz-9"], ["Größe"], [""], [], ["1700000000000000", "0abc"],
    [String(repeating: "x", count: 256)],
  ])
  func aTokenReturnsItsKey(_ key: [String]) throws {
    let token = PageToken(listing: ["secrets", "acme"])
    #expect(try token.decode(token.encode(after: key)) == key)
    #expect(try token.decode("") == nil)
  }

  @Test func oneOfAnotherListingOrDamagedIsRefused() {
    let token = PageToken(listing: ["secrets", "acme"])
    let text = token.encode(after: ["key"])
    var bad = ["x", "====", "AQ", text + "A", text + "=", "%00 ü"]
    bad.append(String(repeating: "A", count: PageToken.lengthMax + 1))
    for listing in [["secrets", "other"], ["tenants", "acme"], ["secretsacme"], ["secrets,acme"]] {
      bad.append(PageToken(listing: listing).encode(after: ["key"]))
    }
    for position in text.indices {
      bad.append(String(text[..<position]))
      let other: Character = text[position] == "B" ? "C" : "B"
      bad.append(text[..<position] + String(other) + text[text.index(after: position)...])
    }
    for text in bad where !text.isEmpty {
      #expect(throws: PageToken.violation, "\(text)") { try token.decode(text) }
    }
  }
}
