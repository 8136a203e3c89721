# shellcheck shell=sh disable=SC1091,SC2086
# Loads database.sql into a database of its own, which nothing else reaches and which goes with the pod, and
# sees that it is a store's.
set -eu
umask 007
. /backup/job/report.sh
cd /backup/work

mariadb-install-db --no-defaults --datadir="$PWD/data" --skip-test-db --force \
  --auth-root-authentication-method=normal >server.log 2>&1 ||
  refuse JOB_INTERRUPTED unchanged server.log
# It keeps nothing, so it need not be safe; and takes what any store's server may have been set to take.
mariadbd --no-defaults --datadir="$PWD/data" --socket="$PWD/socket" --pid-file="$PWD/server.pid" \
  --skip-networking --innodb-buffer-pool-size=32M --performance-schema=OFF --skip-log-bin \
  --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=OFF --innodb-strict-mode=OFF \
  --max-allowed-packet=1G >server.log 2>&1 &
server=$!

# The dump is the tenant's: where the client can, it obeys nothing that reaches beyond the database.
sandbox=
! mariadb --no-defaults --sandbox --version >/dev/null 2>&1 || sandbox=--sandbox

client() {
  mariadb --no-defaults $sandbox --socket="$PWD/socket" --user=root --max-allowed-packet=1G \
    --default-character-set=utf8mb4 --batch --skip-column-names "$@"
}

# The load has failed; where the server did not outlive it, for a full disk say, that is not the dump's fault.
reject() {
  client --execute='SELECT 1' >/dev/null 2>&1 || refuse JOB_INTERRUPTED unchanged server.log
  refuse LOAD_FAILED unchanged load.log
}

until client --execute='CREATE DATABASE IF NOT EXISTS store' 2>load.log; do
  kill -0 "$server" 2>/dev/null || refuse JOB_INTERRUPTED unchanged server.log
  sleep 1
done
client store <database.sql >/dev/null 2>load.log || reject
table=$(client store --execute="
  SELECT REPLACE(table_name, '\`', '\`\`') FROM information_schema.tables
  WHERE table_schema = 'store' AND table_name LIKE '%\\_options'
  ORDER BY LENGTH(table_name), table_name LIMIT 1" 2>load.log) || reject
[ -n "$table" ] || fail LOAD_FAILED unchanged 'it has no table with the options of a WordPress'
count=$(client store --execute="SELECT COUNT(*) FROM \`$table\`" 2>load.log) || reject
[ "$count" -gt 0 ] || fail LOAD_FAILED unchanged "its table $table is empty"
