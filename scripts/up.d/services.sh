# shellcheck shell=bash disable=SC2154 # variables are shared with scripts/up and scripts/down
# The services: started, restarted when what they are made of has changed, stopped.

start_seconds_max=60
stop_seconds_max=30 # more than SHUTDOWN_GRACE of a service, 20 s unless set otherwise

setup() { "$binaries/storeplane-setup" "$@"; }

# What a service is told, for everybody to see who may; and which of those that run are out of date.
plan_services() {
  local service
  outdated=()
  for service in "${wanted[@]}"; do
    (umask 077 && setup environment "$service" >"$state/run/$service.env")
    version "$service" >"$state/run/$service.version.new"
    if ! alive "$service" ||
      ! cmp -s "$state/run/$service.version.new" "$state/run/$service.version"; then
      outdated+=("$service")
    fi
  done
}

# Changes when the service's program, settings, certificates or keys do.
version() {
  local files=("$binaries/$1" "$state/run/$1.env" "$state/tls/$1.crt" "$state/tls/ca.crt"
    "$state/caller-keys.json")
  [[ $1 != gateway ]] || files+=("$state/keys/token-signing-key.pem")
  [[ $1 != provisioner ]] || files+=("$binaries/helm-worker")
  local file
  for file in "${files[@]}"; do
    [[ ! -f $file ]] || sha256sum "$file"
  done
}

migrate() {
  local service log="$logs/migrate.log"
  : >"$log"
  for service in "${wanted[@]}"; do
    setup run --owner "$service" migrate >>"$log" 2>&1 || {
      tail -n 5 "$log" >&2
      fail "the schema of $service could not be brought up to date" "The whole output: $log"
    }
  done
  stage "schemas: up to date"
}

start_services() {
  local service
  if ((${#outdated[@]} == 0)); then
    stage "services: running already"
  else
    stop_services "${outdated[@]}"
    check_ports "${outdated[@]}"
    for service in "${outdated[@]}"; do
      mv "$state/run/$service.version.new" "$state/run/$service.version"
      start "$service" "$binaries/storeplane-setup" run "$service"
    done
  fi
  for service in "${wanted[@]}"; do
    await "$service" "$start_seconds_max" "the service is ready" ready "$service"
  done
  ((${#outdated[@]} == 0)) || stage "services: ready (${outdated[*]})"
}

# Before anything is started: a port of somebody else's.
check_ports() {
  local service key address host port
  for service in "$@"; do
    for key in LISTEN_ADDRESS ADMIN_ADDRESS; do
      address=$(setting "$service" "$key")
      port=${address##*:} host=${address%:*}
      case $host in 0.0.0.0 | '[::]') host=127.0.0.1 ;; esac
      host=${host#[} host=${host%]}
      if (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then
        fail "$address, the $key of $service, is taken by $(holder_of "$port")" \
          "Stop it; or give ${service^^}_$key another port in $state/storeplane.env."
      fi
    done
  done
}

# holder_of PORT: the program that listens there, as far as one may see it.
holder_of() {
  local holder
  holder=$(ss -Hltnp "sport = :$1" 2>/dev/null |
    sed -n 's/.*(("\([^"]*\)",pid=\([0-9]*\).*/\1 (pid \2)/p' | sort -u | tr '\n' ' ')
  printf '%s' "${holder:-another program}"
}

# All are asked first and waited for then, so that they drain at the same time.
stop_services() {
  local service pid
  for service in "$@"; do
    if pid=$(process_id "$service"); then kill "$pid" 2>/dev/null || true; fi
  done
  for service in "$@"; do
    await_end "$service"
  done
}

await_end() {
  local pid
  if pid=$(process_id "$1") && ! wait_until "$stop_seconds_max" process_gone "$1"; then
    note "$1 did not end in $stop_seconds_max s: killing it"
    kill -KILL "$pid" 2>/dev/null || true
    wait_until 5 process_gone "$1" || fail "$1 (pid $pid) does not end, even when killed"
  fi
  rm -f "$state/run/$1.pid"
}

# Of those that were to be started the last time; with --no-cluster the provisioner was not.
print_status() {
  local service pid memory up=yes planned=()
  for service in "${services[@]}"; do
    [[ ! -f $state/run/$service.env ]] || planned+=("$service")
  done
  ((${#planned[@]})) || planned=("${services[@]}")
  for service in "${planned[@]}"; do
    if ! pid=$(process_id "$service"); then
      up=no
      printf '%-12s not running\n' "$service"
      continue
    fi
    memory=$(awk '/^VmRSS:/ {printf "%.1f", $2 / 1024}' "/proc/$pid/status")
    local word=ready
    ready "$service" >/dev/null 2>&1 || up=no word='not ready'
    printf '%-12s %-10s pid %-8s %6s MB  %s\n' "$service" "$word" "$pid" "$memory" \
      "$(setting "$service" LISTEN_ADDRESS)"
  done
  if has_postgres; then
    find_postgres
    if postgres_runs; then
      printf '%-12s running    %s\n' postgres "$postgres/socket"
    else
      up=no
      printf '%-12s not running\n' postgres
    fi
  fi
  [[ $up == yes ]] || exit 3
}
