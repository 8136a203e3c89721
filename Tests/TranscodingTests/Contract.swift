import Contracts
import Descriptors
import HTTP
import JSON
import Testing
import Transcoding

/// The contracts and conversions of their types, for all tests.
enum Contract {
  static func transcoder(
    options: TranscodingOptions = TranscodingOptions()
  ) throws -> Transcoder {
    try Transcoder(
      DescriptorPool(serialized: DescriptorSet.serialized), options: options)
  }

  static func type(_ name: String, _ pool: DescriptorPool) throws -> MessageDescriptor {
    try #require(
      pool.message(named: name.contains(".") ? name : "storeplane.testing.v1.\(name)"))
  }

  /// JSON to bytes.
  static func message(
    _ json: String, _ name: String = "AllKinds",
    options: TranscodingOptions = TranscodingOptions()
  ) throws -> [UInt8] {
    let transcoder = try transcoder(options: options)
    return try transcoder.message(
      JSON(parsing: json, limits: options.json), type(name, transcoder.pool))
  }

  /// Bytes to JSON.
  static func json(
    _ message: [UInt8], _ name: String = "AllKinds",
    options: TranscodingOptions = TranscodingOptions()
  ) throws -> String {
    let transcoder = try transcoder(options: options)
    let bytes = try transcoder.json(message, type(name, transcoder.pool))
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Without what is not set.
  static var brief: TranscodingOptions {
    var options = TranscodingOptions()
    options.writesDefaults = false
    return options
  }

  static func error(_ body: () throws -> some Any) -> TranscodingError? {
    do {
      _ = try body()
      return nil
    } catch {
      return error as? TranscodingError
    }
  }
}
