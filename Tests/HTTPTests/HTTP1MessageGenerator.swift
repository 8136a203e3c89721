import PythonPeer

/// Random connections near the edge of the grammar: mostly valid parts, now and then one from
/// outside it, and in some cases bytes changed at random.
enum HTTP1MessageGenerator {
  private static let methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "x-y!"]
  private static let badMethods = ["", "G T", "CONNECT", "G\u{0}", "(", "é", "\tGET"]
  private static let targets = ["/", "/a/b", "/a?b=c", "/%20?%41", "http://a/x", "//", "/?"]
  private static let badTargets = [
    "*", "a:80", "x", "", "/%zz", "/a b", "/é", "/\u{1}", "/#", "ftp://a/", "http://b/",
  ]
  private static let versions = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]
  private static let badVersions = [
    "HTTP/1.2", "HTTP/9.9", "HTTP/1", "http/1.1", "HTTP/1.1 ", "HTTP/0.9", "",
  ]
  private static let fields = [
    "accept: */*", "X-Empty:", "x-blank: \t ", "x-text: a\tb  c \t", "connection: close",
    "connection: keep-alive", "cookie: a=b; c=d", "x-raw: é", "expect: 100-continue",
    "upgrade: h2c", "x-y!#$%&'*+-.^_`|~09: z",
  ]
  private static let badFields = [
    " folded", "\tfolded", "x : y", "x\t: y", "nocolon", ": y", "a b: c", "(x): y", "x: \u{0}",
    "x: \u{1}", "x: \u{7F}", "x: \u{B}", "x: a\rb", "x: a\r", "host: a", "host:", "host: a b",
    "host: a,b", "expect: other", "content-length: 3", "content-length: 5",
    "transfer-encoding: chunked", "transfer-encoding: gzip", "é: x", "\u{0}: x", "",
  ]
  private static let framings = [
    "content-length: 0", "content-length: 3", "content-length: 0005", "Content-Length:3",
    "transfer-encoding: chunked", "Transfer-Encoding: Chunked", "transfer-encoding: chunked",
  ]
  private static let badFramings = [
    "content-length: 3, 3", "content-length: 3\r\ncontent-length: 3",
    "content-length: 3\r\ncontent-length: 5", "content-length: +3", "content-length: ",
    "content-length: 0x3", "content-length: 99999999", "content-length: 3 3",
    "transfer-encoding: gzip", "transfer-encoding: gzip, chunked", "transfer-encoding: chunked,",
    "transfer-encoding: chunked, chunked", "transfer-encoding: chunked\r\ncontent-length: 3",
    "content-length: 5\r\ntransfer-encoding: chunked", "transfer-encoding: identity",
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked", "transfer-encoding: x\u{B}",
  ]
  private static let chunkSizes = ["1", "3", "A", "0a", "00003", "3;a", "3;a=b", "3;a=\"b;\\\"c\""]
  private static let badChunkSizes = [
    "", "x", "3 ", "3\t", " 3", "-3", "0x3", "3;", "3; a", "3 ;a", "3;a=", "3;a=\"", "3;\u{1}",
    "00000000000000003", "fffffffffffffffff", "ffffffffffffffffffffff", "3;a\nb",
  ]
  private static let trailers = ["digest: x", "x: y", "x-empty:"]
  private static let badTrailers = [" x: y", "x : y", "content-length: 3", "host: a", "nocolon"]
  private static let statuses = [
    "200 OK", "200 ", "200", "404 Not Found", "204 No", "304 x", "999 é",
  ]
  private static let badStatuses = [
    "99", "020 x", "099 x", "20x OK", "2000", "200\tOK", "200 a\u{1}", "101 Switching",
    "200 a\u{0}", "", "-20 x",
  ]
  private static let noise = Array("\r\n\r\n :;,\t\u{0}\u{1}\u{7F}0aZ/é\"%".utf8) + [0x80, 0xFF]

  static func requests(_ generator: inout SeededGenerator) -> [UInt8] {
    var text = ""
    for _ in 0...Int.random(in: 0...2, using: &generator) {
      if generator.oneIn(20) { text += "\r\n" }
      let method = pick(methods, or: badMethods, 40, &generator)
      let target = pick(targets, or: badTargets, 25, &generator)
      let version = pick(versions, or: badVersions, 30, &generator)
      text += "\(method) \(target) \(version)" + lineEnd(&generator)
      if !generator.oneIn(20) { text += "Host: a" + lineEnd(&generator) }
      text += message(&generator, framed: generator.oneIn(2))
    }
    return mutate(Array(text.utf8), &generator)
  }

  static func response(_ generator: inout SeededGenerator) -> [UInt8] {
    var text = ""
    while generator.oneIn(6) {
      text += "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    }
    let version = pick(versions, or: badVersions, 30, &generator)
    text += "\(version) \(pick(statuses, or: badStatuses, 12, &generator))" + lineEnd(&generator)
    text += message(&generator, framed: !generator.oneIn(5))
    return mutate(Array(text.utf8), &generator)
  }

  private static func message(_ generator: inout SeededGenerator, framed: Bool) -> String {
    var text = ""
    for _ in 0..<Int.random(in: 0...3, using: &generator) {
      text += pick(fields, or: badFields, 25, &generator) + lineEnd(&generator)
    }
    guard framed else { return text + lineEnd(&generator) }
    let framing = pick(framings, or: badFramings, 6, &generator)
    text += framing + lineEnd(&generator) + lineEnd(&generator)
    let lowercase = framing.lowercased()
    guard lowercase.contains("chunked") else {
      let length = lowercase.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? 0
      return text + String("hello".prefix(length))
    }
    return text + chunks(&generator)
  }

  private static func chunks(_ generator: inout SeededGenerator) -> String {
    var text = ""
    for _ in 0..<Int.random(in: 0...3, using: &generator) {
      let size = pick(chunkSizes, or: badChunkSizes, 12, &generator)
      let length = Int(size.prefix { $0.isHexDigit }, radix: 16) ?? 3
      text += size + lineEnd(&generator) + String(repeating: "d", count: min(length, 20))
      text += generator.oneIn(30) ? generator.pick(["", "\n", "X\r\n", "\rX"]) : "\r\n"
    }
    text += pick(["0", "000", "0;a=b"], or: ["0 ", "0\t"], 30, &generator) + lineEnd(&generator)
    while generator.oneIn(4) {
      text += pick(trailers, or: badTrailers, 6, &generator) + lineEnd(&generator)
    }
    return text + lineEnd(&generator)
  }

  private static func lineEnd(_ generator: inout SeededGenerator) -> String {
    generator.oneIn(120) ? "\n" : "\r\n"
  }

  private static func pick(
    _ usual: [String], or odd: [String], _ rarity: Int, _ generator: inout SeededGenerator
  ) -> String {
    generator.pick(generator.oneIn(rarity) ? odd : usual)
  }

  private static func mutate(
    _ original: [UInt8], _ generator: inout SeededGenerator
  ) -> [UInt8] {
    var bytes = original
    guard generator.oneIn(4) else { return bytes }
    for _ in 0...Int.random(in: 0...2, using: &generator) where !bytes.isEmpty {
      let position = Int.random(in: 0..<bytes.count, using: &generator)
      switch Int.random(in: 0...3, using: &generator) {
      case 0: bytes.insert(generator.pick(noise), at: position)
      case 1: bytes.remove(at: position)
      case 2: bytes[position] = generator.pick(noise)
      default: bytes.removeSubrange(position...)
      }
    }
    return bytes
  }
}
