#!/bin/bash
# Runs a command. Before Postgres it makes the database on the first start, from the official image's
# variables.
# POSTGRES_PASSWORD, _USER and _DB may also be given as NAME_FILE, the path of a file with the value.
set -euo pipefail

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# setting NAME DEFAULT: sets the variable POSTGRES_NAME from its file where there is one.
setting() {
  local name=POSTGRES_$1 file=POSTGRES_$1_FILE
  if [[ -n ${!file:-} ]]; then
    [[ -r ${!file} ]] || fail "$file names a file that cannot be read: ${!file}"
    printf -v "$name" '%s' "$(<"${!file}")"
  fi
  printf -v "$name" '%s' "${!name:-$2}"
}

# Made beside its place and moved there whole: a start that was cut off begins anew.
make_database() {
  setting PASSWORD ''
  [[ -n $POSTGRES_PASSWORD ]] || fail "the database has no password: set POSTGRES_PASSWORD"
  setting USER postgres
  setting DB "$POSTGRES_USER"
  local unfinished=$PGDATA.unfinished
  printf 'making the database in %s\n' "$PGDATA"
  rm -rf "$unfinished"
  initdb --pgdata="$unfinished" --username="$POSTGRES_USER" --auth-host=scram-sha-256 \
    --auth-local=trust --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") >/dev/null
  printf 'host all all all scram-sha-256\n' >>"$unfinished/pg_hba.conf"
  if [[ $POSTGRES_DB != postgres ]]; then
    printf 'CREATE DATABASE "%s";\n' "${POSTGRES_DB//\"/\"\"}" |
      postgres --single -D "$unfinished" postgres >/dev/null
  fi
  rm -rf "$PGDATA"
  mv "$unfinished" "$PGDATA"
}

if [[ ${1:-} == -* ]]; then
  set -- postgres "$@"
fi
if [[ ${1:-} == postgres ]]; then
  [[ -s $PGDATA/PG_VERSION ]] || make_database
  # The server itself has no need of them.
  unset "${!POSTGRES_@}"
  # By its arguments, as a cluster listens on the loopback alone.
  set -- "$@" -c listen_addresses='*'
fi
exec "$@"
