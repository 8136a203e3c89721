// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
  // The tests trap on overlapping accesses; in a release the checks cost a tenth of a call.
  .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

// Together about a tenth of a call: no jump table between the programs and Swift's runtime, and an allocator
// that does not slow down as calls crowd. Not the command line: Foundation's HTTP would want libcurl's
// static libraries.
let staticRuntime: [SwiftSetting] = [
  .unsafeFlags(["-static-stdlib"], .when(configuration: .release))
]
let linking: [LinkerSetting] = [
  .unsafeFlags(["-static-stdlib"], .when(configuration: .release)),
  .linkedLibrary("mimalloc", .when(configuration: .release)),
]

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")
let arguments: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")

func system(_ name: String, pkgConfig: String, apt: String) -> Target {
  .systemLibrary(
    name: name, path: "Sources/CLibs/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}

func library(
  _ name: String, path: String? = nil, exclude: [String] = [], resources: [Resource] = [],
  isService: Bool = true, _ dependencies: [Target.Dependency]
) -> Target {
  .target(
    name: name, dependencies: dependencies, path: path ?? "Sources/\(name)", exclude: exclude,
    resources: resources, swiftSettings: isService ? settings + staticRuntime : settings)
}

func executable(
  _ name: String, path: String, isService: Bool = true, _ dependencies: [Target.Dependency]
) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies, path: path,
    swiftSettings: isService ? settings + staticRuntime : settings,
    linkerSettings: isService ? linking : [])
}

func tests(
  _ name: String, exclude: [String] = [], resources: [Resource] = [],
  _ dependencies: [Target.Dependency]
) -> Target {
  .testTarget(
    name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude,
    resources: resources, swiftSettings: settings)
}

// libFuzzer's instrumentation and entry are there only when scripts/fuzz builds.
let isFuzzing = Context.environment["STOREPLANE_FUZZ"] != nil
let fuzzTargets: [Target] =
  isFuzzing
  ? [
    .systemLibrary(name: "CFuzzer", path: "Sources/CLibs/CFuzzer"),
    executable(
      "Fuzz", path: "Tests/Fuzz", ["CFuzzer", "Contracts", "HTTP2", "Protobuf", "RPC", "RPCCore"]),
  ] : []

let targets: [Target] = [
  // C libraries: module maps and shims, nothing else.
  system("CNghttp2", pkgConfig: "libnghttp2", apt: "libnghttp2-dev"),
  system("CLibpq", pkgConfig: "libpq", apt: "libpq-dev"),
  system("CProtobufC", pkgConfig: "libprotobuf-c", apt: "libprotobuf-c-dev"),
  system("COpenSSL", pkgConfig: "openssl", apt: "libssl-dev"),
  system("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),
  .target(name: "CLinux", path: "Sources/CLibs/CLinux"),

  // Foundations.
  library("Reactor", ["CLinux", "COpenSSL"]),
  library("Cryptography", ["COpenSSL", "JSON"]),
  library("Resilience", []),
  library("Observability", [logging]),
  library("Configuration", [yams]),
  library("JSON", []),
  library("Descriptors", []),

  // RPC: protobuf values, the sans-I/O core, HTTP/2 over nghttp2, and the runtime that joins them.
  library("Protobuf", path: "Sources/RPC/Protobuf", ["CProtobufC"]),
  library("RPCCore", path: "Sources/RPC/Core", ["CZlib", "Protobuf"]),
  library("HTTP2", path: "Sources/RPC/HTTP2", ["CNghttp2", "Reactor"]),
  library(
    "RPC", path: "Sources/RPC/Runtime",
    ["RPCCore", "HTTP2", "JSON", "Protobuf", "Reactor", "Observability"]),
  .target(
    name: "CContracts", dependencies: ["CProtobufC"], path: "Sources/Contracts/C"),
  library(
    "Contracts", path: "Sources/Contracts/Swift",
    ["CContracts", "CProtobufC", "Protobuf", "RPC", "RPCCore"]),
  library(
    "RPCServices", path: "Sources/RPC/Services",
    ["RPC", "RPCCore", "Contracts", "Protobuf", "Descriptors"]),

  library("HTTP", exclude: ["Transcoding"], ["Reactor", "HTTP2", "Observability", "COpenSSL"]),
  library("Transcoding", path: "Sources/HTTP/Transcoding", ["Descriptors", "JSON", "HTTP"]),
  library("Postgres", ["CLibpq", "Reactor", logging]),
  library("Kubernetes", ["CLinux", "Cryptography", "HTTP", "HTTP2", "JSON", "Reactor", yams]),
  library(
    "TestKit", exclude: ["Provisioner"],
    [
      "Reactor", "Resilience", "Postgres", "RPC", "RPCCore", "Contracts", "Protobuf",
      "Cryptography", logging,
    ]),

  library(
    "ServiceRuntime", resources: [.embedInCode("Outbox/outbox.sql")],
    [
      "Configuration", "Contracts", "Cryptography", "Descriptors", "HTTP", "HTTP2", "JSON",
      "Observability", "Postgres", "Protobuf", "RPC", "RPCCore", "RPCServices", "Reactor",
      "Resilience", logging,
    ]),

  // The provisioner's child process that loads Helm.
  executable(
    "HelmWorker", path: "Sources/HelmWorker",
    ["CLinux", "Contracts", "JSON", "Observability", "Protobuf", "RPC", "RPCCore", "Reactor"]),

  // The services: what each does, and its process.
  library(
    "ConfigService", path: "Sources/Config", exclude: ["Main"],
    resources: [
      .embedInCode("Store/Migrations/v0001_init.sql"),
      .embedInCode("Store/Migrations/v0003_platform.sql"),
    ],
    [
      "ServiceRuntime", "Contracts", "Cryptography", "JSON", "Observability", "Postgres",
      "Protobuf",
      "RPC", "RPCCore", "Reactor", logging,
    ]),
  executable(
    "ConfigMain", path: "Sources/Config/Main",
    ["ConfigService", "ServiceRuntime", "Configuration", "Cryptography", "Postgres", "Reactor"]),

  library(
    "AuditService", path: "Sources/Audit", exclude: ["Main"],
    resources: [.embedInCode("Store/Migrations/v0001_init.sql")],
    [
      "ServiceRuntime", "Contracts", "Cryptography", "JSON", "Observability", "Postgres",
      "Protobuf", "RPC", "RPCCore", "Reactor", logging,
    ]),
  executable(
    "AuditMain", path: "Sources/Audit/Main",
    ["AuditService", "ServiceRuntime", "Configuration", "Postgres", "Reactor"]),

  library(
    "ProvisionerService", path: "Sources/Provisioner", exclude: ["Main", "Backend"],
    resources: [
      .embedInCode("Store/Migrations/v0001_init.sql"),
      .embedInCode("Store/Migrations/v0003_limits.sql"),
      .embedInCode("Store/Migrations/v0004_changes.sql"),
      .embedInCode("Store/Migrations/v0005_drift.sql"),
      .embedInCode("Store/Migrations/v0006_backups.sql"),
      .embedInCode("Store/Migrations/v0007_clusters.sql"),
      .embedInCode("Store/Migrations/v0008_lost_clusters.sql"),
      .embedInCode("Store/Migrations/v0009_backup_schedules.sql"),
    ],
    [
      "ServiceRuntime", "Configuration", "Contracts", "Cryptography", "JSON", "Observability",
      "Postgres", "Protobuf", "RPC", "RPCCore", "Reactor", "Resilience", logging,
    ]),
  // What it does to clusters: Kubernetes and Helm.
  library(
    "ProvisionerBackend", path: "Sources/Provisioner/Backend",
    resources: ["prologue.php", "prepare.php", "install.php", "plugins.php", "medusa.js"].map {
      .embedInCode("Setup/\($0)")
    }
      + [
        "report.sh", "dump-mariadb.sh", "dump-postgres.sh", "load-mariadb.sh", "load-postgres.sh",
        "try-mariadb.sh", "try-postgres.sh", "archive.sh", "fetch.sh", "files.sh", "transfer.php",
        "transfer.js",
      ].map { .embedInCode("Backup/Scripts/\($0)") },
    [
      "ProvisionerService", "CLinux", "Configuration", "Contracts", "Cryptography", "HTTP", "JSON",
      "Kubernetes", "Observability", "Protobuf", "RPC", "RPCCore", "Reactor",
      "ServiceRuntime", logging, yams,
    ]),
  executable(
    "ProvisionerMain", path: "Sources/Provisioner/Main",
    [
      "ProvisionerBackend", "ProvisionerService", "ServiceRuntime", "Configuration", "Kubernetes",
      "Postgres", "Reactor",
    ]),
  // A cluster of the tests' own, and what every backend of the provisioner must do.
  library(
    "ProvisionerTestKit", path: "Sources/TestKit/Provisioner", ["ProvisionerService", "Reactor"]),

  library(
    "GatewayService", path: "Sources/Gateway", exclude: ["Main"],
    resources: [.embedInCode("Store/Migrations/v0001_init.sql")],
    [
      "ServiceRuntime", "Configuration", "Contracts", "Cryptography", "Descriptors", "HTTP", "JSON",
      "Observability", "Postgres", "Protobuf", "RPC", "RPCCore", "Reactor", "Resilience",
      "Transcoding", logging,
    ]),
  executable(
    "GatewayMain", path: "Sources/Gateway/Main",
    [
      "GatewayService", "Configuration", "Contracts", "Cryptography", "HTTP", "Postgres", "Reactor",
      "RPC", "ServiceRuntime", logging,
    ]),

  // The install wizard, which also hands each service its settings.
  library(
    "Setup", exclude: ["Main"],
    ["Configuration", "Cryptography", "Postgres", "Reactor", logging]),
  executable(
    "SetupMain", path: "Sources/Setup/Main", ["Setup", "Configuration", "Postgres", "Reactor"]),

  // The command line.
  library(
    "Storectl", path: "Sources/storectl", exclude: ["Main"], isService: false,
    ["HTTP", "JSON", arguments, yams]),
  executable("StorectlMain", path: "Sources/storectl/Main", isService: false, ["Storectl"]),

  // gRPC's interoperability tests: the service and the cases, and a process for each side.
  library(
    "Interop", path: "Sources/Interop", exclude: ["Server", "Client"],
    ["Contracts", "HTTP2", "Protobuf", "RPC", "RPCCore", "Reactor"]),
  executable(
    "InteropServer", path: "Sources/Interop/Server", ["Interop", "Reactor"]),
  executable(
    "InteropClient", path: "Sources/Interop/Client", ["Interop", "Reactor"]),

  // What the benchmarks load.
  executable(
    "EchoServer", path: "Benchmarks/EchoServer",
    ["Contracts", "Observability", "RPC", "Reactor", "ServiceRuntime", "TestKit", logging]),
  executable(
    "LoadClient", path: "Benchmarks/LoadClient",
    ["Contracts", "Observability", "RPC", "Reactor", "ServiceRuntime"]),

  // What the attacks on the RPC server are aimed at.
  executable(
    "AttackTarget", path: "Tests/AttackTarget",
    ["Contracts", "HTTP2", "RPC", "RPCCore", "Reactor", "TestKit"]),

  // The provisioner's engine on machines that are only imagined.
  .target(name: "CSimulatedMachine", path: "Tests/CSimulatedMachine"),
  .executableTarget(
    name: "Simulate",
    dependencies: [
      "CLibpq", "CSimulatedMachine", "ProvisionerService", "ServiceRuntime", "Configuration",
      "Contracts", "JSON",
      "Observability", "Postgres", "RPC", "RPCCore", "Reactor", "Resilience", "TestKit", logging,
    ],
    path: "Tests/Simulation",
    // Runs by the thousand are worth it in any build.
    swiftSettings: settings + staticRuntime + [.unsafeFlags(["-O"], .when(configuration: .debug))],
    linkerSettings: linking),

  tests("ReactorTests", ["Reactor", "TestKit"]),
  tests(
    "CryptographyTests", exclude: ["make-seed-vectors.js", "node-peer.js", "seed-vectors.json"],
    ["Cryptography", "COpenSSL"]),
  tests("ResilienceTests", ["Resilience", "TestKit"]),
  tests("ObservabilityTests", ["Observability"]),
  tests("ConfigurationTests", ["Configuration"]),
  // What the allocator says of itself.
  .systemLibrary(name: "CMalloc", path: "Tests/CMalloc"),
  tests(
    "ProtobufTests", exclude: ["peer.py"],
    ["Protobuf", "Contracts", "CContracts", "PythonPeer", "TestKit"]),
  tests("ProtobufMemoryTests", ["Protobuf", "Contracts", "CMalloc", "TestKit"]),
  tests(
    "RPCTests", exclude: ["Peers"],
    [
      "RPC", "RPCCore", "HTTP2", "RPCServices", "ServiceRuntime", "Contracts", "Descriptors",
      "Interop", "Observability", "Protobuf", "Reactor", "TestKit", "PythonPeer", "AttackTarget",
      logging,
    ]),
  tests("DescriptorsTests", ["Descriptors", "Contracts", "PythonPeer"]),
  tests(
    "ServiceRuntimeTests",
    [
      "ServiceRuntime", "Configuration", "Contracts", "JSON", "Observability", "Postgres",
      "Protobuf", "RPC", "RPCCore", "Reactor", "Resilience", "TestKit", logging,
    ]),
  tests(
    "AuditServiceTests",
    [
      "AuditService", "ServiceRuntime", "Contracts", "Cryptography", "JSON", "Observability",
      "Postgres", "Protobuf", "RPC", "RPCCore", "Reactor", "Resilience", "TestKit", logging,
    ]),
  library("PythonPeer", path: "Tests/PythonPeer", ["CLinux"]),
  tests("JSONTests", exclude: ["Peers"], ["JSON", "PythonPeer"]),
  tests(
    "HTTPTests", exclude: ["Peers"],
    ["HTTP", "HTTP2", "Reactor", "Observability", "PythonPeer", "TestKit"]),
  tests(
    "TranscodingTests", exclude: ["Peers"],
    ["Transcoding", "Descriptors", "JSON", "HTTP", "Contracts", "Protobuf", "PythonPeer"]),
  tests("PostgresTests", ["Postgres", "Reactor", "TestKit"]),
  tests(
    "ConfigServiceTests",
    [
      "ConfigService", "ServiceRuntime", "Contracts", "Cryptography", "JSON", "Observability",
      "Postgres", "Protobuf", "RPC", "RPCCore", "Reactor", "TestKit", logging,
    ]),
  tests(
    "ProvisionerServiceTests",
    [
      "ProvisionerService", "ProvisionerTestKit", "ServiceRuntime", "Configuration", "Contracts",
      "Cryptography", "JSON", "Observability", "Postgres", "Protobuf", "RPC", "RPCCore",
      "Reactor", "Resilience", "TestKit", logging,
    ]),
  tests(
    "ProvisionerBackendTests", exclude: ["Peers"],
    [
      "ProvisionerBackend", "ProvisionerService", "ProvisionerTestKit", "ConfigService",
      "ServiceRuntime", "Configuration", "Contracts", "HTTP", "HelmWorker", "JSON", "Kubernetes",
      "Postgres", "Protobuf", "PythonPeer", "RPC", "RPCCore", "Reactor", "Resilience", "TestKit",
      logging,
    ]),
  tests(
    "GatewayServiceTests",
    [
      "GatewayService", "Configuration", "Contracts", "Cryptography", "HTTP", "JSON",
      "Observability", "Postgres", "Protobuf", "RPC", "RPCCore", "Reactor", "Resilience",
      "ServiceRuntime", "TestKit", logging,
    ]),
  tests(
    "SetupTests", ["Setup", "Configuration", "Cryptography", "Postgres", "Reactor", "TestKit"]),
  tests(
    "StorectlTests",
    [
      "Storectl", "AuditService", "ConfigService", "Configuration", "Cryptography",
      "GatewayService", "HTTP", "JSON", "Postgres", "ProvisionerService", "ProvisionerTestKit",
      "Reactor", "ServiceRuntime", "TestKit", logging,
    ]),
  tests("KubernetesTests", ["Kubernetes", "Cryptography", "HTTP", "JSON", "Reactor"]),
]

let package = Package(
  name: "storeplane",
  products: [
    // The binaries' names differ from their targets', which must not clash with the libraries'.
    .executable(name: "audit", targets: ["AuditMain"]),
    .executable(name: "config", targets: ["ConfigMain"]),
    .executable(name: "gateway", targets: ["GatewayMain"]),
    .executable(name: "helm-worker", targets: ["HelmWorker"]),
    .executable(name: "provisioner", targets: ["ProvisionerMain"]),
    .executable(name: "storeplane-setup", targets: ["SetupMain"]),
    .executable(name: "storectl", targets: ["StorectlMain"]),
    .executable(name: "rpc-interop-client", targets: ["InteropClient"]),
    .executable(name: "rpc-interop-server", targets: ["InteropServer"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: targets + fuzzTargets
)
