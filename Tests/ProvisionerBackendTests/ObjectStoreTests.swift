import Configuration
import Foundation
import HTTP
import JSON
import Kubernetes
import ProvisionerService
import PythonPeer
import Reactor
import Testing

@testable import ProvisionerBackend

/// An object store in Python, whose signatures are botocore's, and access to it.
struct ObjectStorePeer {
  static let accessKey = "AKIAIOSFODNN7EXAMPLE"
  static let secretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
  let server: PythonServer
  let address: String

  init(on address: String = "127.0.0.1") throws {
    self.address = address
    server = try PythonServer(
      "Tests/ProvisionerBackendTests/Peers/object_store.py",
      [address, Self.accessKey, Self.secretKey])
  }

  func access(
    bucket: String = "backups", secretKey: String = Self.secretKey, port: UInt16? = nil
  ) throws -> ObjectStoreAccess {
    try Self.access(
      to: "http://\(address):\(port ?? server.port)", bucket: bucket, secretKey: secretKey)
  }

  static func access(
    to url: String, bucket: String = "backups", secretKey: String = Self.secretKey
  ) throws -> ObjectStoreAccess {
    let environment = [
      "BACKUP_S3_URL": url, "BACKUP_S3_ACCESS_KEY": accessKey, "BACKUP_S3_SECRET_KEY": secretKey,
      "BACKUP_S3_BUCKET": bucket,
    ]
    let schema = ConfigurationSchema(
      service: "test",
      settings: [
        AnySetting(PlatformSettings.backupURL), AnySetting(PlatformSettings.backupAccessKey),
        AnySetting(PlatformSettings.backupSecretKey), AnySetting(PlatformSettings.backupBucket),
      ])
    let configuration = try Configuration.load(schema, environment: environment)
    return ObjectStoreAccess(
      address: try #require(configuration[PlatformSettings.backupURL]),
      bucket: configuration[PlatformSettings.backupBucket], region: "us-east-1",
      accessKey: try #require(configuration[PlatformSettings.backupAccessKey]),
      secretKey: try #require(configuration[PlatformSettings.backupSecretKey]))
  }
}

@Suite struct ObjectStoreTests {
  /// Of "Authenticating Requests: Using Query Parameters" in the reference of Amazon S3's API.
  @Test func anAddressIsSignedAsAmazonDoes() throws {
    let access = try ObjectStorePeer.access(to: "https://examplebucket.s3.amazonaws.com")
    let signed = SignedAddress(
      .get, path: "/test.txt", with: access, seconds: 86_400, now: 1_369_353_600)
    #expect(
      signed.query == """
        X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1\
        %2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
        &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404
        """)
  }

  @Test(arguments: [
    ("https://s3.example.com", "s3.example.com", 443), ("http://[::1]:9000", "[::1]:9000", 9000),
    ("https://s3.example.com:443/", "s3.example.com", 443),
    ("http://s3:80/store//", "s3", 80),
  ]) func theHostIsNamedAsClientsDo(_ url: String, _ authority: String, _ port: UInt16) throws {
    let access = try ObjectStorePeer.access(to: url)
    #expect(access.authority == authority && access.port == port)
    #expect(access.prefix == (url.contains("store") ? "/store" : ""))
  }

  private static let backup = StoreBackup(id: "b-1", store: "0abc", tenant: "tea & cups")
  private static let key = "tea & cups/0abc/b-1.tar.gz"

  private func withStore(
    bucket: String = "backups", secretKey: String = ObjectStorePeer.secretKey,
    port: UInt16? = nil,
    _ body: @Sendable (ObjectStore, ObjectStorePeer) async throws -> Void
  ) async throws {
    let peer = try ObjectStorePeer()
    let access = try peer.access(bucket: bucket, secretKey: secretKey, port: port)
    try await onReactor { reactor in
      let store = try ObjectStore(access, reactor: reactor, blocking: BlockingPool())
      try await body(store, peer)
    }
  }

  @Test func whatIsKeptIsMeasuredAndRemoved() async throws {
    try await withStore { store, peer in
      let absent = await failure(ProvisionFailure.self) { try await store.size(of: Self.backup) }
      #expect(absent?.code == .backupMissing)
      let address = store.grant(.put, Self.backup)
      #expect(!address.contains(ObjectStorePeer.secretKey))
      #expect(shell("curl -sf -T \(Checkout.localValues) '\(address)'") == 0)
      #expect(try peer.server.ask("names") == Self.key)
      let size = try #require(
        try FileManager.default.attributesOfItem(atPath: Checkout.localValues)[.size] as? Int)
      #expect(try await store.size(of: Self.backup) == Int64(size))
      // What is signed for one method is good for no other.
      #expect(shell("curl -sf -X DELETE '\(address)'") == 22)
      #expect(
        shell("curl -sf '\(store.grant(.get, Self.backup))' | cmp - \(Checkout.localValues)") == 0)
      try await store.remove(Self.backup)
      try await store.remove(Self.backup)
      #expect(try peer.server.ask("names") == "")
    }
  }

  /// An answer to HEAD does not tell them apart, and it would be held against the backup.
  @Test func aBucketThatIsNotThereIsNoMissingFile() async throws {
    try await withStore(bucket: "elsewhere") { store, _ in
      let away = await failure(ProvisionFailure.self) { try await store.size(of: Self.backup) }
      #expect(away?.code == .backupStoreDenied && away?.code.isRetryable == false)
      // Neither is a file gone then.
      let kept = await failure(ProvisionFailure.self) { try await store.remove(Self.backup) }
      #expect(kept?.code == .backupStoreDenied)
    }
    try await withStore { store, peer in
      let absent = await failure(ProvisionFailure.self) { try await store.size(of: Self.backup) }
      #expect(absent?.code == .backupMissing)
      for (status, reason, code) in [
        // Of something in between, which is no object store.
        (404, "NotFound", FailureCode.backupStoreDenied),
        (503, "SlowDown", .backupStoreUnreachable), (403, "AccessDenied", .backupStoreDenied),
      ] {
        _ = try peer.server.ask("answer \(status) \(reason) GET")
        let unclear = await failure(ProvisionFailure.self) { try await store.size(of: Self.backup) }
        #expect(unclear?.code == code, "\(unclear as Any)")
      }
    }
  }

  @Test func aKeyThatIsNotTheStoresIsRefused() async throws {
    try await withStore(secretKey: "wrong") { store, _ in
      for code in [
        await failure(ProvisionFailure.self) { try await store.size(of: Self.backup) }?.code,
        await failure(ProvisionFailure.self) { try await store.remove(Self.backup) }?.code,
      ] { #expect(code == .backupStoreDenied) }
    }
  }

  @Test func aStoreThatIsAwayIsAskedAgain() async throws {
    try await withStore(port: 1) { store, _ in
      let away = await failure(ProvisionFailure.self) { try await store.size(of: Self.backup) }
      #expect(away?.code == .backupStoreUnreachable && away?.code.isRetryable == true)
    }
    try await withStore { store, peer in
      for status in [503, 429] {
        _ = try peer.server.ask("answer \(status) SlowDown DELETE")
        let busy = await failure(ProvisionFailure.self) { try await store.remove(Self.backup) }
        #expect(busy?.code == .backupStoreUnreachable && busy?.verdict == .inconclusive)
      }
    }
  }
}

@Suite struct StoreJobTests {
  private static let program = KubernetesObject([
    "metadata": ["name": "wordpress"],
    "spec": [
      "selector": ["matchLabels": ["app.kubernetes.io/name": "wordpress"]],
      "template": [
        "spec": [
          "securityContext": ["runAsUser": 33, "runAsGroup": 33, "fsGroup": 33],
          "serviceAccountName": "store",
          "containers": [["name": "wordpress", "image": "wp:1", "imagePullPolicy": "Never"]],
          "volumes": [
            ["name": "content", "persistentVolumeClaim": ["claimName": "wordpress-content"]]
          ],
        ]
      ],
    ],
  ])
  private static let database = KubernetesObject([
    "spec": [
      "selector": ["matchLabels": ["app.kubernetes.io/name": "mariadb"]],
      "template": [
        "spec": [
          "securityContext": ["runAsUser": 999, "runAsGroup": 999],
          "containers": [
            [
              "name": "mariadb", "image": "db:1",
              "env": [
                ["name": "MARIADB_DATABASE", "value": "shop"],
                ["name": "MARIADB_USER", "value": "wp"],
              ],
            ]
          ],
        ]
      ],
    ]
  ])

  private func pod(_ purpose: StoreJob.Purpose) throws -> JSON {
    let job = StoreJob(
      purpose, of: site(), program: Self.program, database: Self.database)
    return try #require(job.manifest["spec", "template", "spec"])
  }

  private func containers(_ pod: JSON) -> [JSON] {
    (pod["initContainers"]?.array ?? []) + (pod["containers"]?.array ?? [])
  }

  @Test(arguments: [StoreJob.Purpose.backup, .restore])
  func thePodIsRestrictedAndHoldsNoSecret(_ purpose: StoreJob.Purpose) throws {
    let pod = try pod(purpose)
    #expect(pod["automountServiceAccountToken"]?.bool == false)
    for container in containers(pod) {
      let security = try #require(container["securityContext"])
      #expect(security["allowPrivilegeEscalation"]?.bool == false)
      #expect(security["runAsNonRoot"]?.bool == true)
      #expect(security["readOnlyRootFilesystem"]?.bool == true)
      #expect(security["capabilities", "drop"] == ["ALL"])
      #expect(security["seccompProfile", "type"]?.string == "RuntimeDefault")
      #expect(container["resources", "limits", "memory"]?.string != nil)
      let isDatabase = container["image"]?.string == "db:1"
      #expect(security["runAsUser"] == (isDatabase ? 999 : 33))
      let password = container["env"]?.array?.first { $0["name"]?.string == "DATABASE_PASSWORD" }
      #expect(
        (password?["valueFrom", "secretKeyRef", "key"]?.string == "mariadb-password") == isDatabase)
      #expect(password?["value"] == nil)
    }
    let allowed: Set<String> = ["emptyDir", "secret", "persistentVolumeClaim"]
    for volume in pod["volumes"]?.array ?? [] {
      let kinds = (volume.object?.members ?? []).map(\.key).filter { $0 != "name" }
      #expect(allowed.isSuperset(of: kinds))
    }
  }

  @Test func onlyARestoreWritesFiles() throws {
    let mounts = { (pod: JSON) in
      self.containers(pod).flatMap { container in
        (container["volumeMounts"]?.array ?? []).filter { $0["name"]?.string == "files" }.map {
          "\(container["name"]?.string ?? "") \($0["readOnly"]?.bool == true ? "reads" : "writes")"
        }
      }
    }
    #expect(mounts(try pod(.backup)) == ["archive reads"])
    #expect(Set(mounts(try pod(.restore))) == ["fetch writes", "files writes"])
    #expect(try pod(.backup)["affinity", "podAffinity"] != nil)
    #expect(try pod(.restore)["affinity"] == nil)
  }

  // MARK: Reports

  private func report(
    phase: String, reason: String? = nil, message: String = "",
    _ ends: [(name: String, exit: Int64, words: String)]
  ) -> JobReport {
    let statuses = ends.map { end -> JSON in
      [
        "name": .string(end.name),
        "state": [
          "terminated": [
            "exitCode": .number(JSONNumber(end.exit)), "reason": "Error",
            "message": .string(end.words),
          ]
        ],
      ]
    }
    var status: JSON = ["phase": .string(phase), "containerStatuses": .array(statuses)]
    if let reason, var object = status.object {
      object["reason"] = .string(reason)
      object["message"] = .string(message)
      status = .object(object)
    }
    return JobReport(KubernetesObject(["status": status]), now: 0)
  }

  @Test func whatAJobSaysIsUnderstood() {
    let sum = String(repeating: "a", count: 64)
    #expect(
      report(phase: "Succeeded", [("dump", 0, ""), ("archive", 0, "OK 12 \(sum)")])
        == .done(BackupContents(bytes: 12, sha256: sum)))
    #expect(report(phase: "Succeeded", [("files", 0, "")]) == .done(nil))
    #expect(
      report(phase: "Failed", [("fetch", 1, "BACKUP_DAMAGED unchanged it has 3 bytes")])
        == .failed(ProvisionFailure(.backupDamaged, "it has 3 bytes"), hasChanged: false))
    #expect(
      report(phase: "Failed", [("fetch", 0, ""), ("load", 1, "LOAD_FAILED changed x")])
        == .failed(ProvisionFailure(.loadFailed, "x"), hasChanged: true))
    // It put back what was there.
    #expect(
      report(phase: "Failed", [("fetch", 0, ""), ("load", 1, "LOAD_FAILED unchanged x")])
        == .failed(ProvisionFailure(.loadFailed, "x"), hasChanged: false))
  }

  /// Where a tenant's data is loaded, its own code may write what the job is to say.
  @Test func aJobTellsOnlyOfWhatJobsDo() {
    for code in FailureCode.allCases {
      let said = report(phase: "Failed", [("try", 1, "\(code.rawValue) unchanged x")])
      let isBelieved = JobReport.codes.contains(code)
      #expect(
        said
          == .failed(
            isBelieved
              ? ProvisionFailure(code, "x")
              : ProvisionFailure(.jobInterrupted, "the container try ended with 1 (Error)"),
            hasChanged: false))
      guard case .failed(let failure, _) = said else { continue }
      // Nothing counts against the cluster, or is the tenant's own fault.
      #expect(failure.verdict != .failed && !failure.code.isUserFault)
    }
  }

  @Test func aJobThatSaysNothingIsJudgedByWhatWasAtWork() {
    let killed = report(phase: "Failed", [("fetch", 0, ""), ("load", 137, "")])
    guard case .failed(let failure, hasChanged: true) = killed else {
      Issue.record("\(killed)")
      return
    }
    #expect(failure.code == .jobInterrupted && failure.detail.contains("load ended with 137"))
    #expect(
      report(phase: "Failed", [("dump", 1, "nonsense")])
        == .failed(
          ProvisionFailure(.jobInterrupted, "the container dump ended with 1 (Error)"),
          hasChanged: false))
  }

  /// In the words of the kubelet. What a node lacks for a moment is tried again.
  @Test(arguments: [
    ("Usage of EmptyDir volume \"work\" exceeds the limit \"20Gi\". ", FailureCode.backupNoRoom),
    (
      "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ", .backupNoRoom
    ),
    ("Container archive exceeded its local ephemeral storage limit \"1Gi\". ", .backupNoRoom),
    ("The node was low on resource: ephemeral-storage. Threshold quantity: 1", .backupNoRoom),
    ("The node was low on resource: inodes. ", .backupNoRoom),
    ("The node had condition: [DiskPressure]. ", .backupNoRoom),
    (
      "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container "
        + "archive was using 200Mi, request is 64Mi, has larger consumption of memory. ",
      .jobInterrupted
    ),
    ("The node was low on resource: pids. ", .jobInterrupted),
    ("The node had condition: [MemoryPressure]. ", .jobInterrupted), ("", .jobInterrupted),
  ])
  func anEvictionIsForWhatTheNodeLacked(message: String, code: FailureCode) {
    #expect(
      report(phase: "Failed", reason: "Evicted", message: message, [("archive", 137, "")])
        == .failed(ProvisionFailure(code, message), hasChanged: false))
    // Something may have been loaded by then.
    #expect(
      report(
        phase: "Failed", reason: "Evicted", message: message, [("fetch", 0, ""), ("load", 137, "")])
        == .failed(ProvisionFailure(code, message), hasChanged: true))
  }
}
