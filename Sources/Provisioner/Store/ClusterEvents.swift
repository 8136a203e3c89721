import Contracts
import Observability
import Postgres
import ServiceRuntime

/// The audit events of clusters.
enum ClusterEventMessage {
  private static let source = AuditEventSource(service: .provisioner)

  /// Whose trail they are in: the administrator's tenant, or the platform's own where it has none.
  static func tenant(of origin: ChangeOrigin) -> String {
    origin.request.tenant ?? PlatformTenant.id
  }

  static func registered(_ cluster: ClusterRecord, _ origin: ChangeOrigin) -> AuditV1.Event {
    var details = state(of: cluster)
    details["server"] = GoogleProtobuf.Value(cluster.server)
    details["failed_checks"] = .list(cluster.findings.failures.map(\.check.rawValue))
    return event("cluster.register", cluster, origin, details)
  }

  static func updated(
    _ cluster: ClusterRecord, from before: ClusterRecord, _ origin: ChangeOrigin
  ) -> AuditV1.Event {
    var message = event("cluster.update", cluster, origin, state(of: cluster))
    if before.schedule != cluster.schedule {
      message.previousState = before.schedule.rawValue
      message.newState = cluster.schedule.rawValue
    }
    if before.access.uid != cluster.access.uid {
      message.details?["kubernetes_uid"] = GoogleProtobuf.Value(cluster.access.uid ?? "")
    }
    if before.access.secret != cluster.access.secret {
      message.details?["server"] = GoogleProtobuf.Value(cluster.server)
      message.details?["kubeconfig"] = GoogleProtobuf.Value("changed")
    }
    return message
  }

  static func abandoned(_ cluster: ClusterRecord, _ origin: ChangeOrigin) -> AuditV1.Event {
    event(
      "cluster.abandon", cluster, origin,
      [
        "server": GoogleProtobuf.Value(cluster.server),
        "stores": GoogleProtobuf.Value(integerLiteral: cluster.stores),
      ])
  }

  static func unregistered(_ cluster: ClusterRecord, _ origin: ChangeOrigin) -> AuditV1.Event {
    event("cluster.unregister", cluster, origin, ["server": GoogleProtobuf.Value(cluster.server)])
  }

  private static func state(of cluster: ClusterRecord) -> GoogleProtobuf.Struct {
    var details: GoogleProtobuf.Struct = [
      "schedule": GoogleProtobuf.Value(cluster.schedule.rawValue),
      "labels": .list(
        cluster.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }),
    ]
    if let storesMax = cluster.storesMax {
      details["stores_max"] = GoogleProtobuf.Value(integerLiteral: storesMax)
    }
    return details
  }

  private static func event(
    _ action: String, _ cluster: ClusterRecord, _ origin: ChangeOrigin,
    _ details: GoogleProtobuf.Struct
  ) -> AuditV1.Event {
    var message = source.event(action, tenant: tenant(of: origin), actor: origin.actor)
    message.details = details
    message.details?["cluster"] = GoogleProtobuf.Value(cluster.name)
    return message
  }
}

extension GoogleProtobuf.Value {
  fileprivate static func list(_ texts: [String]) -> GoogleProtobuf.Value {
    .init(kind: .listValue(.init(values: texts.map { .init($0) })))
  }
}
