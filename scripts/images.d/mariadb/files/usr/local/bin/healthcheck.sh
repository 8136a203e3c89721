#!/bin/bash
# The official image's check, as probes call it: healthcheck.sh --connect --innodb_initialized
set -euo pipefail

ask() {
  mariadb --defaults-extra-file=/var/lib/mysql/.my-healthcheck.cnf --protocol=tcp \
    --host=127.0.0.1 --connect-timeout=2 --skip-column-names --execute "$1"
}

(($#)) || set -- --connect
for check in "$@"; do
  case $check in
    --connect) ask 'SELECT 1' >/dev/null ;;
    --innodb_initialized)
      [[ $(ask "SELECT support IN ('YES', 'DEFAULT') FROM information_schema.engines
                WHERE engine = 'innodb'") == 1 ]]
      ;;
    *)
      printf 'unknown check: %s\n' "$check" >&2
      exit 2
      ;;
  esac
done
