import Glibc

/// What Helm answered instead of a result.
struct HelmError: Error, CustomStringConvertible {
  /// The library's `helm_error_code`; the numbers are part of its interface.
  enum Code: Int32 {
    case unknown = -1
    case invalidArgument = -2
    case panic = -5
    case cancelled = -6
    case notFound = -7
    case io = -8
    case chartLoad = -20
    case chartInvalid = -21
    case values = -22
    case render = -23
    case kube = -60
    case storage = -61
    case release = -62
  }

  let code: Code
  let description: String
}

/// Helm's Go SDK behind its C interface, libhelm_c, loaded from a file.
///
/// Every function blocks, and may be called from any thread. All of the library's pointers stay here.
final class LibHelm: Sendable {
  typealias Handle = UInt64

  private typealias Text = UnsafePointer<CChar>?
  private typealias OwnedText = UnsafeMutablePointer<CChar>
  private typealias TextOut = UnsafeMutablePointer<OwnedText?>
  private typealias HandleOut = UnsafeMutablePointer<Handle>
  private typealias NewConfiguration = @convention(c) (Text, HandleOut, TextOut) -> Int32
  private typealias OnHandle = @convention(c) (Handle, TextOut) -> Int32
  private typealias Change =
    @convention(c) (
      Handle, Handle, Handle, Text, Text, Text, Text, TextOut, TextOut
    ) -> Int32
  private typealias Query = @convention(c) (Handle, Text, Text, TextOut, TextOut) -> Int32
  private typealias Rollback = @convention(c) (Handle, Text, Text, TextOut) -> Int32
  private typealias Version = @convention(c) () -> OwnedText?
  private typealias FreeText = @convention(c) (OwnedText) -> Void

  private let newConfiguration: NewConfiguration
  private let freeConfiguration: OnHandle
  private let change: [Action: Change]
  private let uninstallRelease: Query
  private let releaseStatus: Query
  private let rollbackRelease: Rollback
  private let freeText: FreeText
  let version: String

  enum Action { case install, upgrade }

  /// Loads the library, which stays loaded: Go's runtime cannot be unloaded.
  init(path: String) throws(HelmError) {
    guard let library = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      let reason = dlerror().map { String(cString: $0) } ?? "unknown reason"
      throw HelmError(code: .io, description: "cannot load \(path): \(reason)")
    }
    func symbol<F>(_ name: String, as type: F.Type) throws(HelmError) -> F {
      guard let address = dlsym(library, name) else {
        throw HelmError(code: .io, description: "\(path) has no \(name): not libhelm_c 0.2")
      }
      return unsafeBitCast(address, to: type)
    }
    newConfiguration = try symbol("helm_config_new", as: NewConfiguration.self)
    freeConfiguration = try symbol("helm_config_free", as: OnHandle.self)
    change = [
      .install: try symbol("helm_install", as: Change.self),
      .upgrade: try symbol("helm_upgrade", as: Change.self),
    ]
    uninstallRelease = try symbol("helm_uninstall", as: Query.self)
    releaseStatus = try symbol("helm_status", as: Query.self)
    rollbackRelease = try symbol("helm_rollback", as: Rollback.self)
    freeText = try symbol("helm_free_string", as: FreeText.self)
    let sdkVersion = try symbol("helm_sdk_version", as: Version.self)
    let text = sdkVersion()
    version = text.map { String(cString: $0) } ?? "unknown"
    if let text { freeText(text) }
  }

  // MARK: Handles

  /// Runs `body` with a connection to a cluster and its release records. One a call: Helm keeps the
  /// memory of configurations that live on.
  func withConfiguration<R>(
    options: String, _ body: (Handle) throws -> R
  ) throws -> R {
    var handle: Handle = 0
    try check { error in newConfiguration(options, &handle, error) }
    defer { release(handle, freeConfiguration) }
    return try body(handle)
  }

  // MARK: Releases

  /// Installs or upgrades; returns the library's summary of the release, a JSON object.
  func perform(
    _ action: Action, configuration: Handle, chart: String, name: String, values: String,
    options: String
  ) throws(HelmError) -> String {
    guard let function = change[action] else { return "" }
    return try text { result, error in
      // Without a context, which would only have it return early.
      function(configuration, 0, 0, chart, name, values, options, result, error)
    }
  }

  func uninstall(
    configuration: Handle, name: String, options: String
  ) throws(HelmError) {
    _ = try text { result, error in
      uninstallRelease(configuration, name, options, result, error)
    }
  }

  func rollback(configuration: Handle, name: String, options: String) throws(HelmError) {
    try check { error in rollbackRelease(configuration, name, options, error) }
  }

  /// The summary of a release's last revision.
  func status(configuration: Handle, name: String) throws(HelmError) -> String {
    try text { result, error in releaseStatus(configuration, name, nil, result, error) }
  }

  // MARK: Results

  private func text(_ call: (TextOut, TextOut) -> Int32) throws(HelmError) -> String {
    var result: OwnedText?
    defer { if let result { freeText(result) } }
    try check { error in call(&result, error) }
    return result.map { String(cString: $0) } ?? ""
  }

  private func check(_ call: (TextOut) -> Int32) throws(HelmError) {
    var detail: OwnedText?
    let code = call(&detail)
    defer { if let detail { freeText(detail) } }
    if code == 0 { return }
    throw HelmError(
      code: HelmError.Code(rawValue: code) ?? .unknown,
      description: detail.map { String(cString: $0) } ?? "Helm gave no reason (code \(code))")
  }

  private func release(_ handle: Handle, _ function: OnHandle) {
    var detail: OwnedText?
    _ = function(handle, &detail)
    if let detail { freeText(detail) }
  }
}
