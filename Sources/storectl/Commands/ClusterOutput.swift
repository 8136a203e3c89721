import JSON

extension Output {
  func describeCluster(_ cluster: JSON) throws {
    let state = cluster.clusterState
    var members: [(name: String, cell: Table.Cell)] = [
      ("name", .init(cluster["name"].text)),
      ("state", .init(state.text, state.style)),
      ("stores", .init(cluster.clusterStores)),
      ("labels", .init(cluster.clusterLabels)),
      ("server", .init(cluster["server"].text)),
      ("uid", .init(cluster["kubernetesUid"].text)),
      ("domain suffix", .init(cluster["domainSuffix"].text)),
      ("ingress address", .init(cluster["ingressAddress"].text)),
      ("registered", .init(cluster["createTime"].text.asLocalTime)),
      ("checked", .init(cluster["checkTime"].text.asLocalTime)),
    ]
    for finding in cluster["findings"].array ?? [] {
      let outcome = EnumName.short(finding["outcome"].text, "OUTCOME")
      let remedy = finding["remedy"].text
      members.append(
        (
          finding["check"].text.printable,
          .init(
            "\(outcome): \(finding["message"].text)" + (remedy.isEmpty ? "" : "; \(remedy)"),
            outcome == "failed" ? .red : outcome == "warning" ? .yellow : nil)
        ))
    }
    try describe(cluster, members)
  }
}

extension Table {
  static func clusterStores(_ stores: [JSON]) -> Table {
    var table = Table(["TENANT", "NAME", "STATE", "NAMESPACE", "ID"])
    for store in stores {
      let state = EnumName.short(store["state"].text, "STATE")
      table.add([
        .init(store["tenant"].text), .init(store["name"].text, .bold),
        .init(state, EnumName.style(ofState: state)), .init(store["namespace"].text),
        .init(store["id"].text),
      ])
    }
    return table
  }
}

extension JSON {
  var isTrue: Bool { bool ?? false }

  /// Of a cluster: whether it takes stores.
  var clusterState: (text: String, style: TextStyle?) {
    let schedule = EnumName.short(self["schedule"].text, "SCHEDULE")
    if !self["abandonTime"].text.isEmpty { return ("given up", .red) }
    if !self["ready"].isTrue { return ("not ready", .red) }
    return schedule == "open" || schedule == "unspecified"
      ? ("ready", .green) : (schedule, .yellow)
  }

  /// Of a cluster: how many stores are there, of how many.
  var clusterStores: String {
    let max = self["storesMax"].integer
    return "\(self["stores"].integer)" + (max > 0 ? " of \(max)" : "")
  }

  var clusterLabels: String {
    (self["labels"].object?.members ?? []).map { "\($0.key)=\($0.value.text)" }
      .joined(separator: ", ")
  }
}
