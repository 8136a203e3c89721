# shellcheck shell=sh disable=SC1091
# Loads database.sql into a database of its own, which nothing else reaches and which goes with the pod, and
# sees that it is a store's.
set -eu
umask 007
. /backup/job/report.sh
cd /backup/work

mariadb-install-db --no-defaults --datadir="$PWD/data" --skip-test-db --force \
  --auth-root-authentication-method=normal >server.log 2>&1 ||
  refuse JOB_INTERRUPTED unchanged server.log
mariadbd --no-defaults --datadir="$PWD/data" --socket="$PWD/socket" --pid-file="$PWD/server.pid" \
  --skip-networking --innodb-buffer-pool-size=32M --performance-schema=OFF >server.log 2>&1 &
server=$!

client() {
  mariadb --no-defaults --socket="$PWD/socket" --user=root --default-character-set=utf8mb4 \
    --batch --skip-column-names "$@"
}

until client --execute='CREATE DATABASE IF NOT EXISTS store' 2>load.log; do
  kill -0 "$server" 2>/dev/null || refuse JOB_INTERRUPTED unchanged server.log
  sleep 1
done
if ! client store <database.sql >/dev/null 2>load.log; then
  kill -0 "$server" 2>/dev/null || refuse JOB_INTERRUPTED unchanged server.log
  refuse LOAD_FAILED unchanged load.log
fi
table=$(client store --execute="
  SELECT REPLACE(table_name, '\`', '\`\`') FROM information_schema.tables
  WHERE table_schema = 'store' AND table_name LIKE '%\\_options'
  ORDER BY LENGTH(table_name), table_name LIMIT 1" 2>load.log) || refuse LOAD_FAILED unchanged load.log
[ -n "$table" ] || fail LOAD_FAILED unchanged 'it has no table with the options of a WordPress'
count=$(client store --execute="SELECT COUNT(*) FROM \`$table\`" 2>load.log) ||
  refuse LOAD_FAILED unchanged load.log
[ "$count" -gt 0 ] || fail LOAD_FAILED unchanged "its table $table is empty"
