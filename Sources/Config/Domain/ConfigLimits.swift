/// What a tenant may keep; each is an error with the limit's name when reached.
package struct ConfigLimits: Sendable {
  /// A secret's value.
  package static let secretBytesMax = 64 * 1024
  /// The credentials that one call asks for.
  package static let credentialSpecsMax = 32
  package static let pageSizeDefault = 50
  package static let pageSizeMax = 500

  package var secretsPerTenantMax = 1000
  package var credentialsPerStoreMax = 64

  package init() {}

  /// The size of a page that was asked for as `size`.
  static func pageSize(_ size: Int32) throws(ConfigError) -> Int {
    guard size >= 0 else {
      throw .invalid(field: "page_size", description: "\(size) is negative; 0 gives the default")
    }
    return size == 0 ? pageSizeDefault : min(Int(size), pageSizeMax)
  }
}
