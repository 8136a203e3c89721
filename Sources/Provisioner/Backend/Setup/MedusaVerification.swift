import Configuration
import HTTP
import JSON
import ProvisionerService
import Reactor

extension StoreVerification {
  /// Whether Medusa is well, takes the administrator's login, has the store's name, and serves shops.
  func checkMedusa(
    _ site: StoreSite, mail: String, password: String, _ deadline: Instant
  ) async throws(ProvisionFailure) {
    _ = try await read(site, "/health", deadline)
    let token = try await signIn(site, mail: mail, password: password, deadline)
    let stores = try await read(site, "/admin/stores", token: token, deadline)
    let names = stores["stores"]?.array?.compactMap { $0["name"]?.string } ?? []
    guard names.contains(site.title) else {
      throw failure(site, "/admin/stores", "names no store \"\(site.title)\" but \(names)")
    }
    // Without a publishable key, which is the owner's to make, it is refused, by the shop's API itself.
    let products = try await answer(
      site, request(.get, site, "/store/products"), deadline: deadline)
    let isRefusal = products.head.status.code == 400 && object(products)["type"] != nil
    guard products.head.status == .ok || isRefusal else {
      throw failure(site, "/store/products", "answered \(products.head.status)")
    }
  }

  private func signIn(
    _ site: StoreSite, mail: String, password: String, _ deadline: Instant
  ) async throws(ProvisionFailure) -> String {
    let path = "/auth/user/emailpass"
    var head = request(.post, site, path)
    head.headers["content-type"] = "application/json"
    let body: JSON = ["email": .string(mail), "password": .string(password)]
    let answer = try await answer(site, head, body: body.serialized(), deadline: deadline)
    guard answer.head.status == .ok, let token = object(answer)["token"]?.string else {
      throw failure(
        site, path, "does not take the administrator's login: it answered \(answer.head.status)")
    }
    return token
  }

  /// The JSON that a request is answered with, an empty object where it is none.
  private func read(
    _ site: StoreSite, _ path: String, token: String? = nil, _ deadline: Instant
  ) async throws(ProvisionFailure) -> JSON {
    var head = request(.get, site, path)
    if let token { head.headers["authorization"] = "Bearer \(token)" }
    let answer = try await answer(site, head, deadline: deadline)
    guard answer.head.status == .ok else {
      throw failure(site, path, "answered \(answer.head.status)")
    }
    return object(answer)
  }

  private func object(_ answer: HTTPClientResponse) -> JSON {
    (try? JSON(parsing: String(decoding: answer.body, as: UTF8.self))) ?? [:]
  }

  private func request(_ method: HTTPMethod, _ site: StoreSite, _ path: String) -> HTTPRequestHead {
    HTTPRequestHead(method: method, authority: address.authority(host: site.host), path: path)
  }

  private func failure(_ site: StoreSite, _ path: String, _ reason: String) -> ProvisionFailure {
    ProvisionFailure(.verificationFailed, "\(address.url(host: site.host))\(path) \(reason)")
  }
}
