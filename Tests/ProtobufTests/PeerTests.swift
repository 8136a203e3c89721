import Contracts
import Protobuf
import Testing

/// Python's protobuf and ours must mean the same by the same bytes.
struct PeerTests {
  private static let allKinds = TestingV1.AllKinds.fullName

  @Test(arguments: [1, 2, 3]) func readsAndWritesEveryKindOfField(seed: Int) throws {
    let peer = try Peer()
    try peer.run("generate", Self.allKinds, "\(seed)", "100")
    let messages = try peer.messages()
    try peer.answer(messages.map { try TestingV1.AllKinds(serialized: $0).serialized() })
    #expect(try peer.run("compare", Self.allKinds) == "100")
  }

  @Test(arguments: [11, 12, 13]) func readsDamagedMessagesAsPythonDoesOrRefusesThem(seed: Int)
    throws
  {
    let peer = try Peer()
    try peer.run("mutate", Self.allKinds, "\(seed)", "400")
    var refused = 0
    let answers = try peer.messages().map { bytes -> [UInt8]? in
      do throws(ProtobufError) {
        return try TestingV1.AllKinds(serialized: bytes).serialized()
      } catch {
        // What the scanner lets through, protobuf-c must be able to unpack.
        #expect(error.reason != .notUnpacked)
        refused += 1
        return nil
      }
    }
    try peer.answer(answers)
    #expect(try peer.run("compare", Self.allKinds) == "\(400 - refused)")
    #expect(refused > 40 && refused < 400)
  }

  @Test func embedsTheDescriptorsWithTheirRESTMapping() throws {
    let peer = try Peer()
    let service = "storeplane.provisioner.v1.StoreService"
    #expect(try peer.run("http", "\(service).CreateStore") == "post /v1/stores *")
    #expect(try peer.run("http", "\(service).RetryStore") == "post /v1/stores/{store}:retry *")
    #expect(
      try peer.run("http", "storeplane.config.v1.SettingsService.UpdateSettings")
        == "patch /v1/settings settings")
  }
}
