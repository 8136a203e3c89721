import Contracts
import Descriptors
import PythonPeer
import Testing

@Suite struct DescriptorPoolTests {
  private static func pool() throws -> DescriptorPool {
    try DescriptorPool(serialized: DescriptorSet.serialized)
  }

  @Test func filesAreKnownByNameAndSymbol() throws {
    let pool = try Self.pool()
    let file = try #require(pool.file(named: "storeplane/testing/v1/kinds.proto"))
    #expect(file.package == "storeplane.testing.v1")
    for symbol in [
      "AllKinds", "AllKinds.Color", "AllKinds.COLOR_RED", "AllKinds.double_value", "Choices.kind",
    ] {
      #expect(pool.file(defining: "storeplane.testing.v1.\(symbol)") === file)
    }
    let echo = try #require(pool.file(named: "storeplane/testing/v1/echo.proto"))
    #expect(pool.file(defining: "storeplane.testing.v1.EchoService.Echo") === echo)
    #expect(pool.file(defining: "google.api.http")?.name == "google/api/annotations.proto")
    #expect(pool.file(defining: "storeplane.testing.v1.Nothing") == nil)
    #expect(
      pool.closure(of: echo).map(\.name) == [
        "storeplane/testing/v1/echo.proto", "google/api/annotations.proto",
        "google/api/http.proto", "google/protobuf/descriptor.proto",
      ])
  }

  @Test func fieldsHaveTheirNamesTypesAndPresence() throws {
    let pool = try Self.pool()
    let choices = try #require(pool.message(named: "storeplane.testing.v1.Choices"))
    #expect(choices.oneofs == ["kind", "other"])
    let value = try #require(choices.field(named: "doubleValue"))
    #expect(value === choices.field(named: "double_value"))
    #expect((value.number, value.oneof, value.hasPresence) == (1, 0, true))
    #expect(choices.field(named: "right")?.oneof == 1)

    let presence = try #require(pool.message(named: "storeplane.testing.v1.Presence"))
    #expect(presence.oneofs.isEmpty)
    #expect(presence.fields.allSatisfy { $0.hasPresence && $0.oneof == nil })

    let repeated = try #require(pool.message(named: "storeplane.testing.v1.Repeated"))
    #expect(repeated.field(named: "int32Values")?.isPacked == true)
    #expect(repeated.field(named: "unpackedValues")?.isPacked == false)
    #expect(repeated.field(named: "stringValues")?.isPacked == false)

    let maps = try #require(pool.message(named: "storeplane.testing.v1.Maps"))
    #expect(maps.fields.allSatisfy { $0.isMap })
    let leaves = try #require(maps.field(named: "leaves"))
    let entry = try #require(pool.messageType(of: leaves))
    #expect(entry.isMapEntry)
    #expect(pool.messageType(of: entry.fields[1])?.fullName == "storeplane.testing.v1.Leaf")

    let nested = try #require(pool.message(named: "storeplane.testing.v1.Nested"))
    #expect(pool.messageType(of: nested.fields[0]) === nested)
    #expect(pool.message(named: "google.protobuf.Timestamp")?.wellKnownType == .timestamp)
    let options = try #require(pool.message(named: "google.protobuf.MethodOptions"))
    #expect(options.fieldIndex(number: 999).map { options.fields[$0].isRepeated } == true)
  }

  @Test func optionsOfFieldsAreRead() throws {
    let login = try #require(
      try Self.pool().message(named: "storeplane.gateway.v1.LoginRequest"))
    #expect(login.field(named: "password")?.isRedacted == true)
    #expect(login.field(named: "username")?.isRedacted == false)
    #expect(login.field(named: "username")?.behaviors == [.required])
  }

  @Test func enumsGoBothWays() throws {
    let color = try #require(
      try Self.pool().enumeration(named: "storeplane.testing.v1.AllKinds.Color"))
    #expect(color.number(named: "COLOR_DARK_BLUE") == 3)
    #expect(color.name(of: 3) == "COLOR_DARK_BLUE")
    #expect(color.name(of: 4) == nil)
  }

  @Test func methodsHaveTheirRules() throws {
    let service = try #require(
      try Self.pool().service(named: "storeplane.testing.v1.EchoService"))
    #expect(service.methods.map(\.name) == ["Echo", "Expand", "Collect", "Converse"])
    #expect(service.methods.map(\.isClientStreaming) == [false, false, true, true])
    #expect(service.methods.map(\.isServerStreaming) == [false, true, false, true])
    let echo = service.methods[0]
    #expect(echo.path == "/storeplane.testing.v1.EchoService/Echo")
    #expect(echo.request.fullName == "storeplane.testing.v1.EchoRequest")
    #expect(
      echo.httpRules == [
        HTTPRule(method: "GET", path: "/v1/echo/{text}"),
        HTTPRule(method: "POST", path: "/v1/echo", body: "*"),
      ])
    #expect(service.methods[2].httpRules.isEmpty)
  }
}

@Suite struct DescriptorErrorTests {
  /// A field of a wire message: the tag, the length, the content.
  private func field(_ number: UInt8, _ content: [UInt8]) -> [UInt8] {
    [number << 3 | 2, UInt8(content.count)] + content
  }

  private func field(_ number: UInt8, _ text: String) -> [UInt8] { field(number, Array(text.utf8)) }

  private func error(
    _ bytes: [UInt8], limits: DescriptorLimits = DescriptorLimits()
  ) -> DescriptorError? {
    do throws(DescriptorError) {
      _ = try DescriptorPool(serialized: bytes, limits: limits)
      return nil
    } catch {
      return error
    }
  }

  private func set(_ parts: [UInt8]...) -> [UInt8] {
    field(1, field(1, "a.proto") + field(2, "a") + parts.flatMap { $0 })
  }

  @Test func referencesThatLeadNowhere() {
    #expect(error(set()) == nil)
    #expect(
      error(set(field(3, "b.proto")))
        == DescriptorError(.dependencyMissing("b.proto"), in: "a.proto"))
    let lost = field(1, "f") + [3 << 3, 1, 5 << 3, 11] + field(6, ".a.Lost")
    let message = field(4, field(1, "M") + field(2, lost))
    #expect(error(set(message)) == DescriptorError(.typeMissing("a.Lost"), in: "a.M.f"))
    #expect(
      error(set(field(6, field(1, "S") + field(2, field(1, "Do") + field(2, ".a.In")))))
        == DescriptorError(.typeMissing("a.In"), in: "a.S.Do"))
  }

  @Test func fieldsThatMakeNoSense() {
    let group = field(1, "f") + [3 << 3, 1, 5 << 3, 10]
    #expect(
      error(set(field(4, field(1, "M") + field(2, group))))
        == DescriptorError(.unsupportedType(10), in: "a.M.f"))
    let oneof = field(1, "f") + [3 << 3, 1, 5 << 3, 5, 9 << 3, 4]
    #expect(
      error(set(field(4, field(1, "M") + field(2, oneof))))
        == DescriptorError(.oneofMissing(4), in: "a.M.f"))
    let zero = field(1, "f") + [5 << 3, 5]
    #expect(
      error(set(field(4, field(1, "M") + field(2, zero))))
        == DescriptorError(.malformed(.malformedTag), in: "a.M.f"))
    #expect(
      error(set(field(4, field(1, "M") + field(7, [7 << 3, 1]))))
        == DescriptorError(.mapEntryInvalid, in: "a.M"))
  }

  @Test func duplicatesAndNamelessThings() {
    let message = field(4, field(1, "M"))
    #expect(error(set(message, message)) == DescriptorError(.duplicateSymbol, in: "a.M"))
    #expect(error(set() + set()) == DescriptorError(.duplicateSymbol, in: "a.proto"))
    #expect(error(field(1, [])) == DescriptorError(.nameMissing))
  }

  @Test func limitsHold() {
    var limits = DescriptorLimits()
    limits.bytesMax = 4
    #expect(error(set(), limits: limits)?.reason == .tooLarge(bytesMax: 4))
    limits = DescriptorLimits()
    limits.filesMax = 0
    #expect(error(set(), limits: limits)?.reason == .tooManyFiles(filesMax: 0))
    limits = DescriptorLimits()
    limits.symbolsMax = 1
    #expect(
      error(set(field(4, field(1, "M"))), limits: limits)?.reason
        == .tooManySymbols(symbolsMax: 1))
    limits = DescriptorLimits()
    limits.depthMax = 2
    let three = field(1, "A") + field(3, field(1, "B") + field(3, field(1, "C")))
    #expect(
      error(set(field(4, three)), limits: limits)?.reason == .nestedTooDeeply(depthMax: 2))
    limits = DescriptorLimits()
    limits.bindingsMax = 0
    #expect(
      error(Array(DescriptorSet.serialized), limits: limits)?.reason
        == .tooManyBindings(bindingsMax: 0))
  }

  @Test func damagedBytesNeverCrash() {
    let whole = Array(DescriptorSet.serialized)
    var generator = SeededGenerator(seed: 20_261_121)
    for _ in 0..<300 {
      var damaged = Array(whole.prefix(Int.random(in: 0...whole.count, using: &generator)))
      for _ in 0..<20 where !damaged.isEmpty {
        damaged[damaged.indices.randomElement(using: &generator) ?? 0] = .random(in: 0...255)
      }
      // Damage to a default value or a comment may go unnoticed.
      if let error = error(damaged) { #expect(!error.description.isEmpty) }
    }
  }
}
