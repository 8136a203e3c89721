package import Configuration
package import JSON
package import ProvisionerService

/// The values of a store's release: the operator's, over them the tenant's, over all the platform's.
package enum ReleaseValues {
  /// - Parameters:
  ///   - operatorValues: for every store.
  ///   - secret: the name of the Secret with the store's credentials; they are no values.
  package static func make(
    for site: StoreSite, operatorValues: JSONObject, address: HostURLTemplate, secret: String
  ) -> JSONObject {
    var store = JSONObject()
    store["id"] = .string(site.store)
    store["name"] = .string(site.title)
    store["host"] = .string(site.host)
    store["url"] = .string(address.url(host: site.host))
    var own = JSONObject()
    own["engine"] = .string(site.engine.rawValue)
    own["store"] = .object(store)
    own["existingSecret"] = .string(secret)
    own["suspended"] = .bool(site.isSuspended)
    return merged(merged(operatorValues, site.parameters.values), own)
  }

  /// As Helm merges: objects member by member, anything else whole.
  package static func merged(_ lower: JSONObject, _ upper: JSONObject) -> JSONObject {
    var result = lower
    for member in upper.members {
      if let under = lower[member.key]?.object, let over = member.value.object {
        result[member.key] = .object(merged(under, over))
      } else {
        result[member.key] = member.value
      }
    }
    return result
  }
}
