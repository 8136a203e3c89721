package import JSON
package import Kubernetes
package import ProvisionerService

/// A job that copies a store's data to the object store, or brings it back, in the images that the store
/// itself runs: the database's reads or writes the database, the program's moves the archive. Or one that
/// brings it back in a database of its own, to see that it can be.
package struct StoreJob: Sendable {
  package enum Purpose: String, Sendable {
    case backup, restore, test

    /// Whether it has to do with what the store holds.
    var usesDatabase: Bool { self != .test }
  }

  /// On the jobs, their pods and what belongs to them.
  static let purposeLabel = "storeplane.dev/job"
  static let operationLabel = "storeplane.dev/operation"
  /// Below the step's own limit, so that the reason is told.
  static let secondsMax = 1_740
  /// Of the work folder: the dump and the archive, and for MariaDB the dump of what was there.
  static let workSize = "20Gi"
  /// Where a cluster removes what has ended by itself (Kubernetes 1.21); we do it sooner.
  private static let keptSeconds = 3_600

  package let purpose: Purpose
  let site: StoreSite
  /// The Deployment that visitors reach, and the database's StatefulSet.
  private let program: KubernetesObject
  private let database: KubernetesObject

  package init(
    _ purpose: Purpose, of site: StoreSite, program: KubernetesObject, database: KubernetesObject
  ) {
    self.purpose = purpose
    self.site = site
    self.program = program
    self.database = database
  }

  package var name: String { Self.name(purpose, of: site) }

  static func name(_ purpose: Purpose, of site: StoreSite) -> String {
    "\(purpose.rawValue)-\(site.operation)"
  }

  // MARK: Objects

  /// - Parameter owner: the job, once it is there: what belongs to it goes with it.
  func secret(files: [(name: String, text: String)], owner: KubernetesObject?) -> JSON {
    var data = JSONObject()
    for (name, text) in files { data[name] = .string(PaddedBase64.encode(Array(text.utf8))) }
    return ["type": "Opaque", "metadata": metadata(owner), "data": .object(data)]
  }

  /// What the job's pod may reach: the database, names, and the object store.
  ///
  /// - Parameter destination: the object store's own address, where it is known.
  func ownPolicy(destination: String?, port: UInt16, owner: KubernetesObject?) -> JSON {
    var outside = Self.object(["ports": [["port": .number(JSONNumber(Int64(port)))]]])
    if let destination { outside["to"] = [["ipBlock": ["cidr": .string("\(destination)/32")]]] }
    let inside: JSON = [
      "to": [["podSelector": database["spec", "selector"] ?? [:]]], "ports": [databasePort],
    ]
    let names: JSON = [
      "ports": [["port": 53, "protocol": "UDP"], ["port": 53, "protocol": "TCP"]]
    ]
    let spec: JSON = [
      "podSelector": ["matchLabels": labels], "policyTypes": ["Egress", "Ingress"],
      "egress": .array((purpose.usesDatabase ? [inside] : []) + [names, .object(outside)]),
    ]
    return ["metadata": metadata(owner), "spec": spec]
  }

  /// Opens the database to the job's pod.
  func databasePolicy(owner: KubernetesObject?) -> JSON {
    let spec: JSON = [
      "podSelector": database["spec", "selector"] ?? [:], "policyTypes": ["Ingress"],
      "ingress": [["from": [["podSelector": ["matchLabels": labels]]], "ports": [databasePort]]],
    ]
    return ["metadata": metadata(owner), "spec": spec]
  }

  package var manifest: JSON {
    [
      "metadata": ["name": .string(name), "labels": labels],
      "spec": [
        "backoffLimit": 0, "activeDeadlineSeconds": .number(JSONNumber(Int64(Self.secondsMax))),
        "ttlSecondsAfterFinished": .number(JSONNumber(Int64(Self.keptSeconds))),
        "template": ["metadata": ["labels": labels], "spec": pod],
      ],
    ]
  }

  private var databasePort: JSON { ["port": .number(JSONNumber(Int64(traits.port)))] }

  private var traits: DatabaseTraits { site.engine.database }

  private var labels: JSON {
    var labels = JSONObject()
    labels[StoreNamespace.ownerLabel.key] = .string(StoreNamespace.ownerLabel.value)
    labels[StoreNamespace.storeLabel] = .string(site.store)
    labels[Self.purposeLabel] = .string(purpose.rawValue)
    labels[Self.operationLabel] = .string(site.operation)
    return .object(labels)
  }

  private func metadata(_ owner: KubernetesObject?) -> JSON {
    var metadata = Self.object(["labels": labels])
    if let owner {
      metadata["ownerReferences"] = [
        [
          "apiVersion": "batch/v1", "kind": "Job", "name": .string(owner.name),
          "uid": .string(owner.uid),
        ]
      ]
    }
    return .object(metadata)
  }

  // MARK: The pod

  private var pod: JSON {
    let template = program["spec", "template", "spec"]?.object ?? JSONObject()
    var pod = Self.object([
      "restartPolicy": "Never", "automountServiceAccountToken": false, "enableServiceLinks": false,
      // The scripts end at once; nothing is to be waited for.
      "terminationGracePeriodSeconds": 1, "volumes": .array(volumes),
    ])
    for copied in [
      "securityContext", "serviceAccountName", "imagePullSecrets", "nodeSelector", "tolerations",
      "priorityClassName",
    ] { pod[copied] = template[copied] }
    switch purpose {
    case .backup:
      pod["initContainers"] = [databaseContainer("dump")]
      pod["containers"] = [programContainer("archive", readsFiles: true)]
      // A volume of one node's is read on the node that serves it.
      if filesClaim != nil, let selector = program["spec", "selector"] {
        pod["affinity"] = [
          "podAffinity": [
            "requiredDuringSchedulingIgnoredDuringExecution": [
              ["labelSelector": selector, "topologyKey": "kubernetes.io/hostname"]
            ]
          ]
        ]
      }
    case .restore:
      pod["initContainers"] = [
        programContainer("fetch", readsFiles: true, writesFiles: true), databaseContainer("load"),
      ]
      pod["containers"] = [programContainer("files", readsFiles: false, writesFiles: true)]
    case .test:
      pod["initContainers"] = [programContainer("fetch", readsFiles: true, writesFiles: true)]
      pod["containers"] = [databaseContainer("try")]
    }
    return .object(pod)
  }

  private var volumes: [JSON] {
    var volumes: [JSON] = [
      ["name": "work", "emptyDir": ["sizeLimit": .string(Self.workSize)]],
      ["name": "job", "secret": ["secretName": .string(name), "defaultMode": 0o440]],
    ]
    if let filesClaim {
      volumes.append(
        purpose.usesDatabase
          ? ["name": "files", "persistentVolumeClaim": ["claimName": .string(filesClaim)]]
          : ["name": "files", "emptyDir": ["sizeLimit": .string(Self.workSize)]])
    }
    return volumes
  }

  /// The claim of the volume with files; nil where there is none, or nothing that lasts.
  private var filesClaim: String? {
    guard let name = site.engine.filesVolume else { return nil }
    let volumes = program["spec", "template", "spec", "volumes"]?.array ?? []
    return volumes.first { $0["name"]?.string == name }?["persistentVolumeClaim", "claimName"]?
      .string
  }

  private func programContainer(
    _ script: String, readsFiles: Bool, writesFiles: Bool = false
  ) -> JSON {
    var container = self.container(
      script, "\(script).sh", from: program, named: site.engine.workload)
    if filesClaim != nil, readsFiles || writesFiles {
      let mount: JSON = [
        "name": "files", "mountPath": "/backup/files", "readOnly": .bool(!writesFiles),
      ]
      container["volumeMounts"] = .array((container["volumeMounts"]?.array ?? []) + [mount])
    }
    let move =
      site.engine == .medusa ? "node /backup/job/transfer.js" : "php /backup/job/transfer.php"
    container["env"] = [["name": "TRANSFER", "value": .string(move)]]
    return .object(container)
  }

  private func databaseContainer(_ script: String) -> JSON {
    var container = self.container(
      script, "\(script)-\(traits.workload).sh", from: database, named: traits.workload)
    if !purpose.usesDatabase { return .object(container) }
    let known = (source(database, traits.workload)["env"]?.array ?? [])
    let value = { (variable: String) in
      known.first { $0["name"]?.string == variable }?["value"] ?? ""
    }
    container["env"] = [
      ["name": "DATABASE_HOST", "value": .string(traits.workload)],
      ["name": "DATABASE_NAME", "value": value(traits.nameVariable)],
      ["name": "DATABASE_USER", "value": value(traits.userVariable)],
      [
        "name": "DATABASE_PASSWORD",
        "valueFrom": [
          "secretKeyRef": [
            "name": .string(StoreCredentials.secretName), "key": .string(traits.passwordKey),
          ]
        ],
      ],
    ]
    return .object(container)
  }

  private func source(_ workload: KubernetesObject, _ name: String) -> JSON {
    let containers = workload["spec", "template", "spec", "containers"]?.array ?? []
    return containers.first { $0["name"]?.string == name } ?? [:]
  }

  private static func object(_ json: JSON) -> JSONObject { json.object ?? JSONObject() }

  private func container(
    _ name: String, _ script: String, from workload: KubernetesObject, named original: String
  ) -> JSONObject {
    let source = source(workload, original)
    var security = Self.object([
      "allowPrivilegeEscalation": false, "privileged": false, "readOnlyRootFilesystem": true,
      "runAsNonRoot": true, "capabilities": ["drop": ["ALL"]],
      "seccompProfile": ["type": "RuntimeDefault"],
    ])
    for user in ["runAsUser", "runAsGroup"] {
      security[user] = workload["spec", "template", "spec", "securityContext"]?.object?[user]
    }
    var container = Self.object([
      "name": .string(name), "command": ["sh", .string("/backup/job/\(script)")],
      "securityContext": .object(security),
      "resources": [
        "requests": ["cpu": "50m", "memory": "64Mi"], "limits": ["cpu": "1", "memory": "256Mi"],
      ],
      "volumeMounts": [
        ["name": "work", "mountPath": "/backup/work"],
        ["name": "job", "mountPath": "/backup/job", "readOnly": true],
        ["name": "work", "mountPath": "/tmp", "subPath": "tmp"],
      ],
    ])
    for copied in ["image", "imagePullPolicy"] { container[copied] = source.object?[copied] }
    return container
  }
}
