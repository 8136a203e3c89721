import Configuration
import Glibc
package import HTTP
package import ProvisionerService
package import Reactor

/// The S3-compatible object store that keeps the files of backups, by addresses that are signed for one
/// object each. Confined to its reactor.
package final class ObjectStore {
  /// Of the addresses that jobs are given: longer than a job may take.
  private static let grantSeconds = 3_600
  /// Of those that are used at once.
  private static let ownSeconds = 60
  static let timeout = Duration.seconds(20)

  package let access: ObjectStoreAccess
  private let client: HTTPClient
  private let resolver: NameResolver
  private let tls: TLSContext?

  package init(
    _ access: ObjectStoreAccess, reactor: Reactor, blocking: BlockingPool
  ) throws(TLSError) {
    self.access = access
    client = HTTPClient(reactor: reactor)
    resolver = NameResolver(blocking: blocking)
    tls =
      access.address.scheme == "https"
      ? try TLSContext.client(TLSConfiguration(applicationProtocols: ["http/1.1"])) : nil
  }

  /// An address by which whoever has it may put or get the file of a backup, for a while.
  package func grant(_ method: HTTPMethod, _ backup: StoreBackup) -> String {
    let signed = sign(method, backup, seconds: Self.grantSeconds)
    return "\(access.address.scheme)://\(access.authority)\(signed.path)?\(signed.query)"
  }

  /// The bytes of the file of a backup.
  package func size(of backup: StoreBackup) async throws(ProvisionFailure) -> Int64 {
    let answer = try await send(.head, backup).head
    // An answer to HEAD has no words: where the bucket is not there, it is the same.
    if answer.status.code == 404 { throw try await absence(of: backup) }
    guard answer.status == .ok else { throw refusal(answer, .head) }
    guard let bytes = answer.headers["content-length"].flatMap({ Int64($0) }) else {
      throw ProvisionFailure(.backupStoreDenied, "HEAD answered without a length")
    }
    return bytes
  }

  /// Removes the file of a backup, if it is there.
  package func remove(_ backup: StoreBackup) async throws(ProvisionFailure) {
    let answer = try await send(.delete, backup).head
    if answer.status.code == 404 {
      let absence = try await absence(of: backup)
      if absence.code == .backupMissing { return }
      throw absence
    }
    guard (200..<300).contains(answer.status.code) else { throw refusal(answer, .delete) }
  }

  /// Why the file of a backup is not found. That it is gone is told only where the object store says so: it
  /// stays with the backup.
  private func absence(of backup: StoreBackup) async throws(ProvisionFailure) -> ProvisionFailure {
    let answer = try await send(.get, backup, range: "bytes=0-0")
    guard answer.head.status.code == 404 else { return refusal(answer.head, .get) }
    guard String(decoding: answer.body, as: UTF8.self).contains("<Code>NoSuchKey</Code>") else {
      return ProvisionFailure(
        .backupStoreDenied, "GET answered \(answer.head.status), but not NoSuchKey")
    }
    return ProvisionFailure(.backupMissing, "GET answered \(answer.head.status) NoSuchKey")
  }

  private func sign(_ method: HTTPMethod, _ backup: StoreBackup, seconds: Int) -> SignedAddress {
    let name = [access.bucket, backup.tenant, backup.store, "\(backup.id).tar.gz"]
      .map { PercentEncoding.encode($0) }.joined(separator: "/")
    return SignedAddress(
      method, path: "\(access.prefix)/\(name)", with: access, seconds: seconds,
      now: Int64(time(nil)))
  }

  private func send(
    _ method: HTTPMethod, _ backup: StoreBackup, range: String? = nil
  ) async throws(ProvisionFailure) -> HTTPClientResponse {
    let signed = sign(method, backup, seconds: Self.ownSeconds)
    var head = HTTPRequestHead(method: method, authority: access.authority, path: signed.path)
    head.query = signed.query
    head.headers["user-agent"] = "storeplane"
    if let range { head.headers["range"] = range }
    do {
      let host = access.address.host
      let addresses = try await resolver.resolve(host, port: access.port)
      guard let first = addresses.first else {
        throw HTTPClientError(.transport, "\(host) has no address")
      }
      return try await client.send(
        head, to: first, tls: tls.map { ($0, .hostName(host)) },
        deadline: .now() + Self.timeout)
    } catch {
      if Task.isCancelled { throw ProvisionFailure(.cancelled) }
      throw ProvisionFailure(.backupStoreUnreachable, "\(method): \(error)")
    }
  }

  private func refusal(_ answer: HTTPResponseHead, _ method: HTTPMethod) -> ProvisionFailure {
    let code: FailureCode =
      switch answer.status.code {
      case 429, 500...599: .backupStoreUnreachable
      default: .backupStoreDenied
      }
    return ProvisionFailure(code, "\(method) answered \(answer.status)")
  }
}

extension ProvisionFailure {
  /// A backup was asked for when there was one.
  static var noObjectStore: ProvisionFailure {
    ProvisionFailure(.backupStoreUnreachable, "this provisioner is given no object store")
  }
}
