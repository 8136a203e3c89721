# shellcheck shell=bash disable=SC2154 # variables are shared with scripts/up and scripts/down
# The installation's own Postgres: reached by a Unix socket alone, so that it takes no port.

database_name=storeplane

# Whether the installation has, or is to have, a Postgres of its own.
wants_postgres() {
  [[ -e $postgres ]] && return
  [[ -z ${DATABASE_URL:-} ]] && ! grep -qs '^GATEWAY_DATABASE_URL=' "$state/storeplane.env"
}

has_postgres() { [[ -e $postgres/data ]]; }

find_postgres() {
  postgres_programs=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  [[ -x $postgres_programs/initdb ]] || fail "Postgres is not installed" "apt-get install postgresql"
}

# Postgres does not run as root, nor where its user may not be.
as_postgres() {
  local change=()
  ((EUID != 0)) ||
    change=(setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all)
  (cd / && exec "${change[@]}" "$@")
}

# The lock is not for the server to keep.
postgres_control() {
  as_postgres "$postgres_programs/pg_ctl" -D "$postgres/data" "$@" {state_lock}>&-
}

# The number that it left may be another process's by now; what works in its data is Postgres.
postgres_runs() {
  local pid
  { read -r pid <"$postgres/data/postmaster.pid"; } 2>/dev/null || return 1
  as_postgres test "/proc/$pid/cwd" -ef "$postgres/data"
}

# The locks of a Postgres that a crash or a reboot has ended: it would not start while another process
# of its user has the number in them.
remove_stale_locks() {
  [[ -n $(as_postgres find /proc -maxdepth 2 -name cwd -lname "$postgres/data" 2>/dev/null) ]] ||
    rm -f "$postgres/data/postmaster.pid" "$postgres"/socket/.s.PGSQL.*.lock
}

# As root, its folder must be one that the user postgres reaches: not so below /root.
make_postgres_folder() {
  [[ -d $postgres ]] && return
  if ((EUID == 0)) && ! as_postgres test -x "$state"; then
    postgres=/var/lib/storeplane/postgres-$(fingerprint "$state")
    mkdir -p /var/lib/storeplane
    note "its data is in $postgres, since the user postgres cannot reach $state"
    [[ ! -e $postgres/data ]] ||
      fail "$postgres is left of an installation whose folder is gone" \
        "Remove it; or, if you need its data, restore $state from a backup."
  fi
  mkdir -p "$postgres"
  chmod 0700 "$postgres"
  ((EUID != 0)) || chown postgres: "$postgres"
  [[ $postgres == "$state/postgres" ]] || ln -sfn "$postgres" "$state/postgres"
}

make_database_cluster() {
  local draft="$postgres/data.new"
  stage "making a database cluster in $postgres"
  if [[ ! -s $postgres/password ]]; then
    (umask 077 && head -c 24 /dev/urandom | base64 | tr -d '\n=' | tr '+/' '-_' >"$postgres/password")
  fi
  ((EUID != 0)) || chown postgres: "$postgres/password"
  rm -rf --one-file-system "$draft"
  as_postgres mkdir -p "$postgres/socket"
  as_postgres "$postgres_programs/initdb" -D "$draft" -U postgres --auth=scram-sha-256 \
    --pwfile="$postgres/password" --encoding=UTF8 --locale=C.UTF-8 >"$logs/initdb.log" 2>&1 || {
    tail -n 5 "$logs/initdb.log" >&2
    fail "the database cluster could not be made" "Its output: $logs/initdb.log"
  }
  cat >>"$draft/postgresql.conf" <<SETTINGS

# Storeplane's
listen_addresses = ''
unix_socket_directories = '$postgres/socket'
max_connections = 200
shared_buffers = 64MB
timezone = 'UTC'
SETTINGS
  mv "$draft" "$postgres/data"
}

start_postgres() {
  find_postgres
  make_postgres_folder
  has_postgres || make_database_cluster
  local made installed=${postgres_programs%/bin}
  made=$(<"$postgres/data/PG_VERSION")
  [[ ${installed##*/} == "$made" ]] ||
    fail "the database cluster is of Postgres $made, and ${installed##*/} is installed" \
      "Install postgresql-$made; or move the data with pg_upgrade."
  if postgres_runs; then
    stage "Postgres: running already"
  else
    remove_stale_locks
    as_postgres touch "$postgres/log"
    postgres_control -w -t 60 -l "$postgres/log" start >/dev/null 2>&1 || {
      tail -n 10 "$postgres/log" >&2
      fail "Postgres did not start" "Its log: $postgres/log"
    }
    stage "Postgres: started ($postgres)"
  fi
  make_database
}

make_database() {
  local found
  found=$(in_database postgres psql -tAqc \
    "SELECT 1 FROM pg_database WHERE datname = '$database_name'")
  [[ -n $found ]] || in_database postgres createdb "$database_name"
}

# in_database NAME PROGRAM...: one of Postgres' programs, as the superuser.
in_database() {
  local database=$1 program=$2
  shift 2
  PGPASSWORD=$(<"$postgres/password") PGHOST="$postgres/socket" PGUSER=postgres \
    PGDATABASE="$database" "$postgres_programs/$program" "$@"
}

superuser_url() {
  local folder="$postgres/socket"
  printf 'postgresql://postgres:%s@%s/%s' "$(<"$postgres/password")" "${folder//\//%2F}" \
    "$database_name"
}

stop_postgres() {
  has_postgres || return 0
  find_postgres
  postgres_runs || return 0
  postgres_control -w -t 60 -m fast stop >/dev/null 2>&1 ||
    postgres_control -w -t 30 -m immediate stop >/dev/null ||
    fail "Postgres does not stop" "Its log: $postgres/log"
  stage "Postgres: stopped"
}

remove_postgres() {
  rm -rf --one-file-system "$postgres" "$state/postgres"
  rmdir /var/lib/storeplane 2>/dev/null || true
}
