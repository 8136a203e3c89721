/// The settings of the platform, each declared once. `ServiceSettings` says which service takes which.
package enum PlatformSettings {
  // MARK: Every service

  package enum LogFormat: String, CaseIterable, Sendable { case json, human }

  package enum LogLevel: String, CaseIterable, Sendable {
    case trace, debug, info, notice, warning, error, critical
  }

  package static let logFormat = Setting.choice(
    "LOG_FORMAT", default: LogFormat.json,
    "How log lines are written to standard error: one JSON object each, or for a person.")

  package static let logLevel = Setting.choice(
    "LOG_LEVEL", default: LogLevel.info, "Log lines below this level are not written.")

  package static let listenAddress = Setting.hostPort(
    "LISTEN_ADDRESS", "Where the service takes calls.", example: "0.0.0.0:8443")

  package static let adminAddress = Setting.hostPort(
    "ADMIN_ADDRESS",
    "Where /healthz, /readyz and /metrics are served, in plain HTTP: not for the public.",
    example: "0.0.0.0:9090")

  package static let shutdownGrace = Setting.duration(
    "SHUTDOWN_GRACE", default: "20s", in: .zero ... .seconds(600),
    "How long calls under way may take to end once the service was told to stop.", example: "20s")

  // MARK: Postgres

  package static let databaseURL = Setting.secretURL(
    "DATABASE_URL", schemes: ["postgresql", "postgres"],
    "The service's own schema, as its application role (without the right to bypass row security).",
    example: "postgresql://gateway_app@db.example.com:5432/storeplane")

  package static let databaseWorkerURL = Setting.secretURL(
    "DATABASE_WORKER_URL", schemes: ["postgresql", "postgres"],
    "The same database as the worker role, for the service's cross-tenant functions.",
    example: "postgresql://gateway_worker@db.example.com:5432/storeplane"
  ).optional

  package static let databaseOwnerURL = Setting.secretURL(
    "DATABASE_OWNER_URL", schemes: ["postgresql", "postgres"],
    "The same database as the owner of the schema; when given, the service migrates it at its start.",
    example: "postgresql://gateway_owner@db.example.com:5432/storeplane"
  ).optional

  package static let databaseConnections = Setting.integer(
    "DATABASE_CONNECTIONS", default: 8, in: 1...200,
    "The most connections to Postgres that a pool of the service holds.", example: 16)

  // MARK: TLS

  package static let tlsCertificateFile = Setting.path(
    "TLS_CERTIFICATE_FILE", .readableFile,
    "The service's certificate chain in PEM, its own first; used as server and as client.",
    example: "/etc/storeplane/tls/tls.crt"
  ).optional

  package static let tlsKeyFile = Setting.path(
    "TLS_KEY_FILE", .readableFile, "The private key of the certificate, in PEM.",
    example: "/etc/storeplane/tls/tls.key"
  ).optional

  package static let tlsCAFile = Setting.path(
    "TLS_CA_FILE", .readableFile,
    "The authorities whose certificates other services must show, in PEM.",
    example: "/etc/storeplane/tls/ca.crt"
  ).optional

  package static let callerKeysFile = Setting.path(
    "CALLER_KEYS_FILE", .readableFile,
    "The gateway's public keys as a JSON Web Key Set: they verify for whom it calls.",
    example: "/etc/storeplane/caller-keys.json"
  ).optional

  // MARK: Other services

  package static let provisionerAddress = Setting.hostPort(
    "PROVISIONER_ADDRESS", default: "127.0.0.1:9402", "Where the provisioner takes calls.",
    example: "storeplane-provisioner:9402")

  package static let configAddress = Setting.hostPort(
    "CONFIG_ADDRESS", default: "127.0.0.1:9403", "Where the config service takes calls.",
    example: "storeplane-config:9403")

  package static let auditAddress = Setting.hostPort(
    "AUDIT_ADDRESS", default: "127.0.0.1:9404", "Where the audit service takes calls.",
    example: "storeplane-audit:9404")

  package static let rpcServiceConfigFile = Setting.textFile(
    "RPC_SERVICE_CONFIG_FILE",
    "gRPC's service config, in JSON, for the calls to other services: timeouts, retries, load "
      + "balancing, health checks. Read at the start.",
    example: "/etc/storeplane/service_config.json"
  ).optional

  // MARK: Gateway

  package static let jwtSecret = Setting.secret(
    "JWT_SECRET", bytesMinimum: 32,
    "Accept HS256 tokens with this key at the gateway's own door; issue them too when there is no signing key.",
    example: "64 hex digits of openssl rand -hex 32"
  ).optional

  package static let tokenSigningKey = Setting.secret(
    "TOKEN_SIGNING_KEY", bytesMinimum: 64,
    "The P-256 private key, in PEM, that signs access tokens (ES256) and is published as a JWKS.",
    example: "a PEM block of openssl ecparam -name prime256v1 -genkey"
  ).optional

  package static let sessionSecret = Setting.secret(
    "SESSION_SECRET", bytesMinimum: 32,
    "Nothing uses it yet: for the signature of a dashboard's session cookies.",
    example: "64 hex digits of openssl rand -hex 32"
  ).optional.unused

  package static let upstashURL = Setting.url(
    "UPSTASH_REDIS_REST_URL", schemes: ["https", "http"],
    "Nothing uses it yet: for rate limits in Upstash Redis; they are kept in Postgres.",
    example: "https://eu1-example.upstash.io"
  ).optional.unused

  package static let upstashToken = Setting.secret(
    "UPSTASH_REDIS_REST_TOKEN", "Nothing uses it yet: the token for UPSTASH_REDIS_REST_URL.",
    example: "the REST token of the Upstash console"
  ).optional.unused

  package static let storeCreationCooldown = Setting.duration(
    "STORE_CREATION_COOLDOWN", default: "30s", in: .zero ... .seconds(86_400),
    "How long a tenant waits between two new stores.", example: "1m")

  package static let requestsPerPrincipal = Setting.integer(
    "RATE_LIMIT_PER_USER", default: 600, in: 1...1_000_000,
    "The most requests a minute of one who signed in.", example: 600)

  package static let requestsPerAddress = Setting.integer(
    "RATE_LIMIT_PER_ADDRESS", default: 3000, in: 1...1_000_000,
    "The most requests a minute from one address.", example: 3000)

  package static let trustedProxies = Setting.addressRanges(
    "TRUSTED_PROXIES",
    "The networks of the proxies before the gateway: only from them X-Forwarded-For is believed.",
    example: "10.0.0.0/8,fd00::/8")

  // MARK: Provisioner

  package enum Recovery: String, CaseIterable, Sendable { case resume, fail }

  package static let recovery = Setting.choice(
    "RECOVERY", default: Recovery.resume,
    "After a crash: go on from the last finished step, or mark the store failed for an operator.")

  package static let storeDomainSuffix = Setting.string(
    "STORE_DOMAIN_SUFFIX", default: ".localhost", bytesMaximum: 200,
    "What follows a store's name in its address.", example: ".shops.example.com")

  package static let storeURL = Setting.hostURL(
    "STORE_URL", default: "https://{host}",
    "The address of a store as its visitors type it.", example: "http://{host}:8880")

  package static let ingressAddress = Setting.hostPort(
    "INGRESS_ADDRESS",
    "Where the provisioner reaches the cluster's ingress, to see that a store answers; without it, "
      + "at the store's own host.", example: "127.0.0.1:8880"
  ).optional

  package static let kubeconfig = Setting.path(
    "KUBECONFIG", .readableFile,
    "The cluster to provision into; without it, the cluster that the service runs in.",
    example: "/etc/storeplane/kubeconfig"
  ).optional

  package static let helmWorkerPath = Setting.path(
    "HELM_WORKER_PATH", .readableFile,
    "The program that loads Helm; without it, helm-worker beside the provisioner's own program.",
    example: "/usr/local/bin/helm-worker"
  ).optional

  package static let helmLibraryPath = Setting.path(
    "HELM_LIBRARY_PATH", default: "/usr/local/lib/libhelm_c.so", .readableFile,
    "Helm's library, libhelm_c.", example: "/opt/storeplane/lib/libhelm_c.so")

  package static let chartPath = Setting.path(
    "CHART_PATH", default: "/usr/local/share/storeplane/ecommerce-store", .directory,
    "The folder of the stores' chart.", example: "helm/ecommerce-store")

  package static let chartValuesFiles = Setting.list(
    "CHART_VALUES_FILES", default: [], countMaximum: 16,
    "YAML files with values of the chart for every store; later ones win. Read at each installation.",
    example: "/etc/storeplane/values-vps.yaml,/etc/storeplane/values.yaml")

  package static let provisionerWorkers = Setting.integer(
    "PROVISIONER_WORKERS", default: 5, in: 1...100,
    "The most operations this replica works on at once.",
    example: 5)

  package static let operationsPerTenant = Setting.integer(
    "OPERATIONS_PER_TENANT", default: 10, in: 1...10_000,
    "The most operations of one tenant under way at once, over all replicas.", example: 10)

  package static let operationsPerCluster = Setting.integer(
    "OPERATIONS_PER_CLUSTER", default: 50, in: 1...10_000,
    "The most operations under way at once on the stores of one cluster, over all replicas.",
    example: 50)

  package static let operationsOverall = Setting.integer(
    "OPERATIONS_OVERALL", default: 200, in: 1...100_000,
    "The most operations under way at once, over all replicas.", example: 200)

  package static let operationRetention = Setting.duration(
    "OPERATION_RETENTION", default: "90d", in: .seconds(86_400) ... .seconds(3_650 * 86_400),
    "How long an operation is kept after its end; the last one of each store stays.", example: "90d"
  )

  package static let driftInterval = Setting.duration(
    "DRIFT_INTERVAL", default: "30m", in: .seconds(60) ... .seconds(7 * 86_400),
    "About how long it is between two looks at a ready store, for what is not as its release says.",
    example: "30m")

  package static let backupURL = Setting.url(
    "BACKUP_S3_URL", schemes: ["https", "http"],
    "The S3-compatible object store that keeps the stores' backups, as the provisioner and the stores' "
      + "pods reach it; without it there are no backups.",
    example: "https://s3.eu-central-1.amazonaws.com"
  ).optional

  package static let backupBucket = Setting.string(
    "BACKUP_S3_BUCKET", default: "storeplane", bytesMaximum: 63,
    "The bucket of the backups; it is there already.", example: "storeplane-backups")

  package static let backupRegion = Setting.string(
    "BACKUP_S3_REGION", default: "us-east-1", bytesMaximum: 63,
    "The region that the object store's signatures are for.", example: "eu-central-1")

  package static let backupAccessKey = Setting.secret(
    "BACKUP_S3_ACCESS_KEY", "The id of the object store's key.", example: "AKIA and 16 more"
  ).optional

  package static let backupSecretKey = Setting.secret(
    "BACKUP_S3_SECRET_KEY",
    "The object store's key: it may put, get and delete objects of the bucket. It never leaves the "
      + "provisioner; stores' pods are given addresses that are signed with it for a while.",
    example: "40 characters of the object store's console"
  ).optional

  package static let backupsKept = Setting.integer(
    "BACKUPS_KEPT", default: 14, in: 1...90,
    "The most backups kept of a store; the oldest go.", example: 14)

  package static let backupRetention = Setting.duration(
    "BACKUP_RETENTION", default: "30d", in: .seconds(3_600) ... .seconds(3_650 * 86_400),
    "How long a backup is kept.", example: "30d")

  package static let backupInterval = Setting.duration(
    "BACKUP_INTERVAL", default: "24h", in: .seconds(3_600) ... .seconds(30 * 86_400), orZero: true,
    "About how long it is between two backups of a store that has no interval of its own; 0s for none "
      + "that nobody asks for.", example: "24h")

  package static let backupTestInterval = Setting.duration(
    "BACKUP_TEST_INTERVAL", default: "7d", in: .seconds(3_600) ... .seconds(365 * 86_400),
    orZero: true,
    "About how long it is between two backups of a store that are brought back in a database of their "
      + "own, to see that they can be; 0s for none that nobody asks for.", example: "7d")

  package static let stepRetryBase = Setting.duration(
    "STEP_RETRY_BASE", default: "500ms", in: .milliseconds(10) ... .seconds(60),
    "The wait after the n-th failure of a step is this times 2^n, at most a minute.",
    example: "500ms")

  package static let stepAttempts = Setting.integer(
    "STEP_ATTEMPTS", default: 3, in: 1...10,
    "How often a step is tried while it fails in a way that may pass.", example: 3)

  package static let outageAttempts = Setting.integer(
    "OUTAGE_ATTEMPTS", default: 8, in: 1...100,
    "How often a step is tried while what all stores need is away: the cluster's API, Helm, the config "
      + "service, the object store.", example: 8)

  package static let outageWaitMax = Setting.duration(
    "OUTAGE_WAIT_MAX", default: "30s", in: .seconds(1) ... .seconds(600),
    "The longest wait between two of these attempts; the waits double up to it from 1s on.",
    example: "30s")

  package static let breakerFailures = Setting.integer(
    "BREAKER_FAILURES", default: 5, in: 1...1_000,
    "Failures in a row after which a cluster's API, or Helm there, is left alone for a while.",
    example: 5)

  package static let breakerOpenDuration = Setting.duration(
    "BREAKER_OPEN_DURATION", default: "30s", in: .seconds(1) ... .seconds(3_600),
    "How long it is left alone before it is tried again.", example: "30s")

  package static let triggerDevKey = Setting.secret(
    "TRIGGER_DEV_API_KEY", "Nothing uses it yet: for operations triggered from Trigger.dev.",
    example: "tr_prod_ and the key of the project"
  ).optional.unused

  package static let triggerDevURL = Setting.url(
    "TRIGGER_DEV_API_URL", "Nothing uses it yet: the address of Trigger.dev's API.",
    example: "https://api.trigger.dev"
  ).optional.unused

  // MARK: Config

  package static let platformEncryptionKey = Setting.secret(
    "PLATFORM_ENCRYPTION_KEY", hexDigits: 64,
    "The AES-256 key that tenants' secrets are encrypted under. Lost, they are lost.",
    example: "64 hex digits of openssl rand -hex 32")
}
