/// The stored text of a password hash, after the PHC string format.
struct PasswordHashText {
  let parameters: PasswordHashParameters
  let salt: [UInt8]
  let hash: [UInt8]

  init(parameters: PasswordHashParameters, salt: [UInt8], hash: [UInt8]) {
    self.parameters = parameters
    self.salt = salt
    self.hash = hash
  }

  var encoded: String {
    let costs =
      "ln=\(parameters.costExponent),r=\(parameters.blockSize),p=\(parameters.parallelism)"
    return "$scrypt$\(costs)$\(Base64.standard.encode(salt))$\(Base64.standard.encode(hash))"
  }

  init(parsing text: String) throws(PasswordHashError) {
    guard text.utf8.count <= PasswordHash.textLengthMax else {
      throw .malformedHash(
        "\(text.utf8.count) characters, where at most \(PasswordHash.textLengthMax) are allowed")
    }
    let fields = text.split(separator: "$", omittingEmptySubsequences: false)
    guard fields.count == 5, fields[0].isEmpty else {
      throw .malformedHash("it takes the form $scrypt$ln=N,r=N,p=N$SALT$HASH")
    }
    guard fields[1] == "scrypt" else { throw .malformedHash("its algorithm is not scrypt") }
    parameters = try Self.parameters(fields[2])
    salt = try Self.bytes(fields[3], part: "salt", lengths: PasswordHash.saltLengthRange)
    hash = try Self.bytes(
      fields[4], part: "hash", lengths: PasswordHash.hashLength...PasswordHash.hashLength)
  }

  private static func parameters(
    _ text: Substring
  ) throws(PasswordHashError) -> PasswordHashParameters {
    let names = ["ln", "r", "p"]
    let settings = text.split(separator: ",", omittingEmptySubsequences: false)
    guard settings.count == names.count else {
      throw .malformedHash("its parameters are not ln, r and p")
    }
    var values: [Int] = []
    for (name, setting) in zip(names, settings) {
      let digits = setting.dropFirst(name.count + 1)
      guard setting.hasPrefix("\(name)="), let value = decimal(digits) else {
        throw .malformedHash("its parameter \(name) is not a number of at most four digits")
      }
      values.append(value)
    }
    let parameters = PasswordHashParameters(
      costExponent: values[0], blockSize: values[1], parallelism: values[2])
    try PasswordHash.check(parameters)
    return parameters
  }

  private static func decimal(_ digits: Substring) -> Int? {
    let isPlain = digits.utf8.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
    guard isPlain, (1...4).contains(digits.utf8.count), digits == "0" || digits.first != "0"
    else { return nil }
    return Int(digits)
  }

  private static func bytes(
    _ text: Substring, part: String, lengths: ClosedRange<Int>
  ) throws(PasswordHashError) -> [UInt8] {
    let bytes: [UInt8]
    do {
      bytes = try Base64.standard.decode(String(text))
    } catch {
      throw .malformedHash("its \(part): \(error)")
    }
    guard lengths.contains(bytes.count) else {
      throw .malformedHash("its \(part) has \(bytes.count) bytes")
    }
    return bytes
  }
}
