#!/usr/bin/env bash
# Tests scripts/up and scripts/down on installations of their own, without a cluster.
# usage: Tests/Scripts/up_test.sh
# shellcheck disable=SC2031 # the functions for a database elsewhere run in a subshell on purpose
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=Tests/Scripts/checks.sh
. "$project/Tests/Scripts/checks.sh"
# shellcheck source=scripts/cluster.d/processes.sh
. "$project/scripts/cluster.d/processes.sh"

port=28080
address=http://127.0.0.1:$port
up=("$project/scripts/up" --yes --debug --no-cluster --port-base "$port")
down=("$project/scripts/down")
running=(audit config gateway)

pid_of() { cut -d' ' -f1 "$state/run/$1.pid"; }

pids() {
  local service
  for service in "${running[@]}"; do printf '%s=%s\n' "$service" "$(pid_of "$service")"; done
}

# The services that another process runs than before.
restarted() { diff "$1" <(pids) | sed -n 's/^> \(.*\)=.*/\1/p' | tr '\n' ' '; }

restarts_only() { # restarts_only BEFORE SERVICE...
  local before=$1
  shift
  [[ $(restarted "$before") == "${*:+$* }" ]]
}

signs_in() {
  printf '{"username":"admin","password":"%s"}' "$("$project/scripts/up" --admin-password)" |
    curl -fsS --header 'content-type: application/json' --data-binary @- "$address/v1/auth/login" |
    sed -n 's/.*"accessToken": *"\([^"]*\)".*/\1/p' >"$scratch/token"
  [[ -s $scratch/token ]]
}

has_tenant() {
  curl -fsS --header @<(printf 'authorization: Bearer %s' "$(<"$scratch/token")") \
    "$address/v1/tenants" | grep -F '"main"'
}

variables_of() { tr '\0' '\n' <"/proc/$(pid_of "$1")/environ" | cut -d= -f1; }

is_told() { variables_of "$1" | grep -qx "$2"; }

# Every value of a setting that is secret, wherever processes show their arguments.
secrets() {
  sed -n 's/^[A-Z_]*\(KEY\|SECRET\)=//p; s/^.*postgresql:\/\/[^:]*:\([^@]*\)@.*/\1/p' \
    "$state/storeplane.env"
  sed -n 's/^password: //p' "$state/admin-login"
  cat "$state/postgres/password"
}

# Looks at all processes' arguments for as long as the marker is there.
watch_arguments() {
  while [[ -e $scratch/watching ]]; do
    cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' >>"$scratch/arguments" || true
  done
}

shows_no_secret() {
  secrets | sort -u >"$scratch/secrets"
  [[ $(wc -l <"$scratch/secrets") -ge 10 ]] &&
    grep -q 'storeplane-setup' "$scratch/arguments" && grep -q curl "$scratch/arguments" &&
    ! grep -qFf "$scratch/secrets" "$scratch/arguments" &&
    ! cat "$state"/logs/* | grep -qFf "$scratch/secrets"
}

keys() { find "$state/keys" "$state/tls" "$state/admin-login" -type f -exec sha256sum {} + | sort; }

postmaster() { head -n 1 "$state/postgres/data/postmaster.pid"; }

# What runs, as "pid start-time" lines: the services, Postgres.
note_processes() {
  cat "$state"/run/*.pid >"$scratch/processes"
  printf '%s %s\n' "$(postmaster)" "$(process_start "$(postmaster)")" >>"$scratch/processes"
  [[ $(wc -l <"$scratch/processes") == $((${#running[@]} + 1)) ]]
}

# Of what was noted.
nothing_runs() {
  local pid started
  while read -r pid started; do
    [[ $(process_start "$pid") != "$started" ]] || { ps -fp "$pid" && return 1; }
  done <"$scratch/processes"
}

test_first_time() {
  check "refuses an argument it does not know" says "unknown argument" "$project/scripts/up" --fast
  check "refuses a port that is none" says "needs a port" "$project/scripts/up" --port-base x
  check "says that nothing is set up" says "Run scripts/up" "$project/scripts/up" --status
  check "is silent about nothing to stop" "${down[@]}"
  : >"$scratch/arguments"
  touch "$scratch/watching"
  watch_arguments &
  local watcher=$!
  check "comes up" "${up[@]}"
  rm "$scratch/watching"
  wait "$watcher"
  check "shows no secret in arguments or logs" shows_no_secret
  check "lets the administrator in" signs_in
  check "has the tenant" has_tenant
  check "tells config its key" is_told config PLATFORM_ENCRYPTION_KEY
  check "tells nobody else" fails_with 1 is_told gateway PLATFORM_ENCRYPTION_KEY
  check "lets no service change its schema" fails_with 1 is_told audit DATABASE_OWNER_URL
  check "passes on nothing of its own environment" fails_with 1 is_told audit STOREPLANE_STATE
}

test_again() {
  pids >"$scratch/pids"
  keys >"$scratch/keys"
  check "comes up again" "${up[@]}"
  check "restarts nothing" restarts_only "$scratch/pids"
  check "keeps its keys" diff "$scratch/keys" <(keys)

  check "says that all is ready" "$project/scripts/up" --status
  kill -KILL "$(pid_of config)"
  check "notices that a service died" fails_with 3 "$project/scripts/up" --status
  check "starts it again" "${up[@]}"
  check "and no other" restarts_only "$scratch/pids" config

  pids >"$scratch/pids"
  printf 'AUDIT_LOG_LEVEL=debug\n' >>"$state/storeplane.env"
  check "takes a changed setting" "${up[@]}"
  check "restarts only whom it concerns" restarts_only "$scratch/pids" audit

  pids >"$scratch/pids"
  printf 'CONFIG_DATABASE_CONNECTIONS=many\n' >>"$state/storeplane.env"
  check "names a wrong setting" says "DATABASE_CONNECTIONS is \"many\"" "${up[@]}"
  check "leaves what runs alone" restarts_only "$scratch/pids"
  sed -i '/^CONFIG_DATABASE_CONNECTIONS/d' "$state/storeplane.env"

  rm "$state/tls/gateway.crt"
  check "makes a certificate that is gone" "${up[@]}"
  check "restarts whom it belongs to" restarts_only "$scratch/pids" gateway

  pids >"$scratch/pids"
  local other
  exec {other}>"$state/lock"
  flock "$other"
  "${up[@]}" >"$scratch/second" 2>&1 {other}>&- &
  local second=$!
  check "waits for another at work" within 10 grep -F "waiting for it" "$scratch/second"
  check "before it does anything" test "$(wc -l <"$scratch/second")" = 1
  exec {other}>&-
  check "and goes on then" wait "$second"
  check "without starting anything twice" restarts_only "$scratch/pids"
}

test_down() {
  check "runs what is expected" note_processes
  cp "$state/postgres/data/postmaster.pid" "$scratch/postmaster.pid"
  check "goes down" "${down[@]}"
  check "leaves no process" nothing_runs
  check "goes down again" "${down[@]}"
  test_stranger
  python3 -m http.server --bind 127.0.0.1 "$port" >/dev/null 2>&1 &
  local stranger=$!
  within 10 curl -fsS "$address" >"$scratch/output" 2>&1
  check "says who has its port" says "is taken by python3" "${up[@]}"
  check "and starts nothing then" fails_with 1 pgrep -f "^$project/.build/debug/(audit|config|gateway)\$"
  kill "$stranger"
  wait "$stranger" || true
  check "comes up with the same data" "${up[@]}"
  check "has kept its keys" diff <(grep -v gateway "$scratch/keys") <(keys | grep -v gateway)
  check "still lets the administrator in" signs_in
  check "runs what is expected" note_processes
  check "removes everything when asked" "${down[@]}" --purge
  check "leaves no process" nothing_runs
  check "leaves no folder" test ! -e "$state"
  check "nor one elsewhere" fails_with 2 ls -d /var/lib/storeplane/postgres-"$(
    printf '%s\n' "$state" | sha256sum | cut -c1-12
  )"
}

# After a reboot the number that Postgres left may be another process's of the same user.
test_stranger() {
  local as_owner=()
  ((EUID != 0)) || as_owner=(setpriv --reuid=postgres --regid=postgres --init-groups)
  # Not deaf to the signals that end Postgres, as what a script has in the background is.
  "${as_owner[@]}" env --default-signal=INT,QUIT tail -f /dev/null &
  stranger=$!
  sed "1s/.*/$stranger/" "$scratch/postmaster.pid" >"$scratch/stale.pid"
  install -m 0600 "$scratch/stale.pid" "$state/postgres/data/postmaster.pid"
  ((EUID != 0)) || chown postgres: "$state/postgres/data/postmaster.pid"
  check "goes down beside a stranger" "${down[@]}"
  check "and leaves it alone" kill -0 "$stranger"
  check "comes up beside it" "${up[@]}"
  check "as another process" test "$(postmaster)" != "$stranger"
  check "goes down" "${down[@]}"
  check "leaving it alone" kill -0 "$stranger"
  kill "$stranger"
  wait "$stranger" || true
  stranger=
}

# Killed at each of its stages, it is finished by the next run.
test_broken_off() {
  local stage
  for stage in "settings, keys" "making a database" "roles and schemas" "up to date"; do
    setsid "${up[@]}" >"$scratch/log" 2>&1 &
    local leader=$!
    within 120 grep -qs -- "$stage" "$scratch/log"
    kill -KILL -- "-$leader"
    wait "$leader" 2>/dev/null || true
  done
  check "comes up after it was killed" "${up[@]}"
  check "lets the administrator in" signs_in
  check "runs what is expected" note_processes
  check "removes everything when asked" "${down[@]}" --purge
  check "leaves no process" nothing_runs
}

# A database of the person's own: made here by the scripts' own means, in another folder.
database_elsewhere() {
  (
    # shellcheck source=scripts/cluster.d/common.sh
    . "$project/scripts/cluster.d/common.sh"
    # shellcheck source=scripts/up.d/common.sh
    . "$project/scripts/up.d/common.sh"
    # shellcheck source=scripts/up.d/postgres.sh
    . "$project/scripts/up.d/postgres.sh"
    STOREPLANE_STATE=$state-database
    locate_state
    "$@"
  )
}

make_elsewhere() {
  make_folders
  start_postgres >&2
  superuser_url
}

remove_elsewhere() {
  stop_postgres
  remove_postgres
  rm -r "$state"
}

test_database_of_ones_own() {
  local url before
  url=$(database_elsewhere make_elsewhere)
  check "takes a database that is given" env DATABASE_URL="$url" "${up[@]}"
  check "starts none of its own" test ! -e "$state/postgres"
  check "does not keep the administrator's URL" fails_with 1 grep -qF "$url" "$state/storeplane.env"
  before=$(sha256sum "$state/storeplane.env")
  check "comes up again without it" "${up[@]}"
  check "with the same settings" test "$before" = "$(sha256sum "$state/storeplane.env")"
  check "goes and says what it keeps" says "PLATFORM_ENCRYPTION_KEY" "${down[@]}" --purge
  check "and leaves the database" database_elsewhere find_database
  check "with the settings that it needs" test "$before" = "$(sha256sum "$state/storeplane.env")"
  check "for their owner only" test "$(stat -c %a "$state/storeplane.env")" = 600
  check "and no more than those" diff <(printf '%s\n' admin-login storeplane.env) <(ls "$state")
  check "says that nothing runs" fails_with 3 "$project/scripts/up" --status
  check "comes up again" "${up[@]}"
  check "on the same database" test ! -e "$state/postgres"
  check "lets the same administrator in" signs_in
  check "goes" "${down[@]}" --purge
  database_elsewhere remove_elsewhere
}

find_database() {
  find_postgres
  in_database "$database_name" psql -tAqc 'SELECT count(*) FROM gateway.users' | grep -qx 1
}

clean_up() {
  [[ -z $stranger ]] || kill "$stranger" || true
  "${down[@]}" --purge >/dev/null 2>&1 || true
  database_elsewhere remove_elsewhere >/dev/null 2>&1 || true
  rm -rf "$scratch"
}

stranger=
scratch=$(mktemp -d /tmp/storeplane-up.XXXXXX)
state=$scratch/state
export STOREPLANE_STATE=$state
unset DATABASE_URL KUBECONFIG
trap clean_up EXIT
test_first_time
test_again
test_down
test_broken_off
test_database_of_ones_own
summary
