import ArgumentParser
import Foundation
import JSON

struct ClustersCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "clusters", abstract: "The Kubernetes clusters that stores are made on.",
    discussion: """
      For administrators. The cluster that the provisioner was started with is `default`. Others are \
      registered with a kubeconfig that is complete in itself:
        kubectl config view --minify --flatten --raw | storectl clusters register eu --label region=eu
        storectl clusters list
        storectl clusters drain eu
        storectl clusters remove eu
      """,
    subcommands: [
      RegisterCluster.self, ListClusters.self, DescribeCluster.self, UpdateCluster.self,
      CheckCluster.self, ClusterStores.self, CordonCluster.self, UncordonCluster.self,
      DrainCluster.self, RemoveCluster.self,
    ])
}

/// `key=value`.
struct ClusterLabel: ExpressibleByArgument {
  let key: String
  let value: String

  init?(argument: String) {
    guard let sign = argument.firstIndex(of: "="), sign > argument.startIndex else { return nil }
    key = String(argument[..<sign])
    value = String(argument[argument.index(after: sign)...])
  }
}

extension [ClusterLabel] {
  var document: JSON? {
    if isEmpty { return nil }
    var object = JSONObject()
    for label in self { object[label.key] = .string(label.value) }
    return .object(object)
  }
}

/// Where a kubeconfig comes from. It never is an argument itself.
enum KubeconfigInput {
  private static let bytesMax = 64 * 1024

  /// - Parameter path: nil or `-` for standard input.
  static func read(_ path: String?, _ output: Output) throws(CommandFailure) -> JSON {
    let bytes: [UInt8]
    if let path, path != "-" {
      guard let data = FileManager.default.contents(atPath: path) else {
        throw CommandFailure(.invalid, "\(path) cannot be read")
      }
      bytes = Array(data)
    } else {
      guard !StandardInput.isTerminal else {
        throw .usage("give the kubeconfig by --kubeconfig PATH or on standard input")
      }
      bytes = try StandardInput.secret(
        "kubeconfig", bytesMax: bytesMax, keepingNewline: true, errors: output.messages)
    }
    guard !bytes.isEmpty, bytes.count <= bytesMax,
      let text = String(validating: bytes, as: UTF8.self)
    else {
      throw CommandFailure(.invalid, "the kubeconfig is empty, no text, or over \(bytesMax) bytes")
    }
    return .string(text)
  }
}

struct RegisterCluster: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "register", abstract: "Register a cluster after checks of what stores need.",
    discussion: """
      The kubeconfig's current context counts. What it names must be in it: tokens and certificates, \
      not files and programs (kubectl config view --minify --flatten --raw). Its user needs the \
      rights of the provisioner's ClusterRole in the chart helm/storeplane.
        storectl clusters register eu --kubeconfig eu.yaml --label region=eu --stores-max 200
        storectl clusters register eu --kubeconfig eu.yaml --check-only

      Where a check fails nothing is registered, unless --force is given.
      """)

  @Argument(help: "The name: lowercase letters, digits and inner hyphens, a letter first.")
  var name: String
  @Option(
    help: ArgumentHelp("The kubeconfig; standard input when absent or -.", valueName: "path"))
  var kubeconfig: String?
  @Option(
    help: ArgumentHelp(
      "A label by which stores choose it; can be repeated.", valueName: "key=value"))
  var label: [ClusterLabel] = []
  @Option(help: "The most stores to place there; no limit when absent.") var storesMax: Int32 = 0
  @Option(help: "What follows a store's name in its host; the platform's own when absent.")
  var domainSuffix: String?
  @Option(
    help: ArgumentHelp(
      "Where stores are verified; their own hosts, or the platform's address, when absent.",
      valueName: "host:port"))
  var ingressAddress: String?
  @Flag(help: "Register it though checks fail.") var force = false
  @Flag(help: "Only check it.") var checkOnly = false
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    var body = JSONObject()
    body["name"] = .string(name)
    body["kubeconfig"] = try KubeconfigInput.read(kubeconfig, output)
    body["labels"] = label.document
    if storesMax != 0 { body["storesMax"] = .number(JSONNumber(Int64(storesMax))) }
    body["domainSuffix"] = domainSuffix.map { .string($0) }
    body["ingressAddress"] = ingressAddress.map { .string($0) }
    if force { body["force"] = true }
    if checkOnly { body["validateOnly"] = true }
    let cluster = try await gateway.call(.change("POST", "/v1/clusters", body))
    try output.describeCluster(cluster)
    if checkOnly, !cluster["ready"].isTrue {
      throw CommandFailure(.conflict, "stores cannot be made on \(name.printable)")
    }
  }
}

struct ListClusters: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the clusters.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    let clusters = try await gateway.call(.get("/v1/clusters"))
    var table = Table(["NAME", "STATE", "STORES", "LABELS", "SERVER", "CHECKED"])
    for cluster in clusters["clusters"].array ?? [] {
      let state = cluster.clusterState
      table.add([
        .init(cluster["name"].text, .bold), .init(state.text, state.style),
        .init(cluster.clusterStores), .init(cluster.clusterLabels),
        .init(cluster["server"].text), .init(cluster["checkTime"].text.asLocalTime),
      ])
    }
    try output.show(clusters, as: table)
  }
}

struct DescribeCluster: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "describe", abstract: "Show a cluster and what its checks found.",
    aliases: ["get"])

  @Argument(help: "The cluster's name.") var cluster: String
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    try output.describeCluster(try await gateway.call(.get("/v1/clusters/\(cluster)")))
  }
}

struct UpdateCluster: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "update", abstract: "Change a cluster's labels, limit or kubeconfig.",
    discussion: """
        storectl clusters update eu --label tier=gold --remove-label old --stores-max 300
        storectl clusters update eu --kubeconfig new.yaml

      What is not named stays. A new kubeconfig is checked as at registration, and must lead to the \
      same cluster: the uid of its namespace kube-system tells. Where a cluster was made anew on \
      purpose, and its stores are there again, --kubernetes-uid names the one that counts.
      """)

  @Argument(help: "The cluster's name.") var cluster: String
  @Option(
    help: ArgumentHelp("A label to set; can be repeated.", valueName: "key=value"))
  var label: [ClusterLabel] = []
  @Option(help: "The key of a label to remove; can be repeated.") var removeLabel: [String] = []
  @Option(help: "The most stores to place there; 0 for no limit.") var storesMax: Int32?
  @Option(
    help: ArgumentHelp("Another kubeconfig; - for standard input.", valueName: "path"))
  var kubeconfig: String?
  @Option(help: "What follows the name in the hosts of stores that are made from now on.")
  var domainSuffix: String?
  @Option(help: ArgumentHelp("Where stores are verified.", valueName: "host:port"))
  var ingressAddress: String?
  @Option(help: "The uid of kube-system of the cluster that is the right one from now on.")
  var kubernetesUid: String?
  @Flag(help: "Take the kubeconfig though checks fail.") var force = false
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    var body = JSONObject()
    body["labels"] = label.document
    if !removeLabel.isEmpty {
      body["removeLabels"] = .array(removeLabel.map { .string($0) })
    }
    body["storesMax"] = storesMax.map { .number(JSONNumber(Int64($0))) }
    body["domainSuffix"] = domainSuffix.map { .string($0) }
    body["ingressAddress"] = ingressAddress.map { .string($0) }
    body["kubernetesUid"] = kubernetesUid.map { .string($0) }
    if let kubeconfig { body["kubeconfig"] = try KubeconfigInput.read(kubeconfig, output) }
    guard !body.isEmpty else { throw CommandFailure.usage("name what to change: see --help") }
    if force { body["force"] = true }
    try output.describeCluster(
      try await gateway.call(.change("PATCH", "/v1/clusters/\(cluster)", body)))
  }
}

struct CheckCluster: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Check a cluster again, and take it in or out of use by that.")

  @Argument(help: "The cluster's name.") var cluster: String
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    try output.describeCluster(
      try await gateway.call(.change("POST", "/v1/clusters/\(cluster):check", JSONObject())))
  }
}

struct ClusterStores: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "stores", abstract: "List the stores of all tenants on a cluster.")

  @Argument(help: "The cluster's name.") var cluster: String
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    let stores = try await gateway.list("/v1/clusters/\(cluster)/stores", "stores")
    try output.show(stores.document, as: .clusterStores(stores.elements))
  }
}

struct CordonCluster: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "cordon", abstract: "Have no more stores placed on a cluster.",
    discussion: "The stores that are there are worked on as ever; `uncordon` takes it back.")

  @Argument(help: "The cluster's name.") var cluster: String
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    let changed = try await gateway.schedule(cluster, "SCHEDULE_CORDONED")
    try output.show(changed) { ["\(cluster.printable) is cordoned"] }
  }
}

struct UncordonCluster: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "uncordon", abstract: "Have stores placed on a cluster again.")

  @Argument(help: "The cluster's name.") var cluster: String
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    let changed = try await gateway.schedule(cluster, "SCHEDULE_OPEN")
    try output.show(changed) { ["\(cluster.printable) takes new stores"] }
  }
}

struct DrainCluster: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "drain", abstract: "Begin to empty a cluster, and list the stores still on it.",
    discussion: """
      Cordons the cluster and refuses to retry, upgrade or resume stores there; deleting, suspending \
      and rolling back go on. Stores are not moved by this: it ends with 1 and lists them as long as \
      there are any, and can be asked again. `uncordon` takes it back.
      """)

  @Argument(help: "The cluster's name.") var cluster: String
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    _ = try await gateway.schedule(cluster, "SCHEDULE_DRAINING")
    let stores = try await gateway.list("/v1/clusters/\(cluster)/stores", "stores")
    guard !stores.elements.isEmpty else {
      return try output.show(stores.document) {
        ["\(cluster.printable) is drained; storectl clusters remove \(cluster.printable)"]
      }
    }
    try output.show(stores.document, as: .clusterStores(stores.elements))
    throw CommandFailure(
      .failed,
      "\(cluster.printable) takes no new stores, and \(stores.elements.count) are still there: "
        + "delete them, or have them made anew elsewhere, then drain again")
  }
}

struct RemoveCluster: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Forget a cluster that has no stores, and its kubeconfig.",
    discussion: """
      Asks first on a terminal; elsewhere --yes is needed. The cluster itself stays.

      One that is lost is given up with its stores, once it is draining:
        storectl clusters remove eu --abandon-stores
      All stores on it are deleted without a look at the cluster, and then it is forgotten; that goes \
      on by itself. Backups stay. On a terminal the cluster's name is asked for, elsewhere --confirm \
      gives it. `default` stays registered, and takes the cluster that the provisioner has now.
      """)

  @Argument(help: "The cluster's name.") var cluster: String
  @Flag(name: [.short, .long], help: "Do not ask.") var yes = false
  @Flag(help: "Delete the stores on it, which is lost, without a look at it.")
  var abandonStores = false
  @Option(
    help: ArgumentHelp("The cluster's name once more, to abandon its stores.", valueName: "cluster")
  )
  var confirm: String?
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    if abandonStores { return try await abandon(gateway, output) }
    if !yes { try output.confirm("Remove the cluster \(cluster)?") }
    let answer = try await gateway.call(
      GatewayRequest(
        method: "DELETE", path: "/v1/clusters/\(cluster)", isRepeatable: false))
    try output.show(answer) { ["\(cluster.printable) is removed"] }
  }

  private func abandon(_ gateway: GatewayClient, _ output: Output) async throws {
    let answer: String
    if let confirm {
      answer = confirm
    } else {
      guard StandardInput.isTerminal else {
        throw CommandFailure.usage("give --confirm \(cluster.printable) to abandon its stores")
      }
      answer = try StandardInput.line(
        "All stores on \(cluster.printable) are deleted for good. Its name:",
        errors: output.messages)
    }
    guard answer == cluster else {
      throw CommandFailure(.failed, "that is another name; nothing was changed")
    }
    let given = try await gateway.call(
      .change("POST", "/v1/clusters/\(cluster):abandon", JSONObject()))
    let count = given["stores"].integer
    let stores = count == 1 ? "1 store" : "\(count) stores"
    try output.show(given) {
      [
        "\(cluster.printable) is given up with \(stores), "
          + (cluster == "default"
            ? "and can be uncordoned when all is deleted" : "and removed when all is deleted")
      ]
    }
  }
}

extension GatewayRequest {
  /// A change that is sent once.
  fileprivate static func change(
    _ method: String, _ path: GatewayPath, _ body: JSONObject
  ) -> GatewayRequest {
    GatewayRequest(method: method, path: path, body: .object(body), isRepeatable: false)
  }
}

extension GatewayClient {
  fileprivate func schedule(_ cluster: String, _ schedule: String) async throws -> JSON {
    var request = GatewayRequest.get("/v1/clusters/\(cluster)")
    request.method = "PATCH"
    // The same again changes nothing.
    request.body = ["schedule": .string(schedule)]
    return try await call(request)
  }
}
