# shellcheck shell=sh disable=SC1091
# Loads database.sql into a database of its own, which nothing else reaches and which goes with the pod, and
# sees that it is a store's.
set -eu
umask 007
. /backup/job/report.sh
cd /backup/work

initdb --pgdata="$PWD/data" --username=store --auth=trust --encoding=UTF8 --no-sync >server.log 2>&1 ||
  refuse JOB_INTERRUPTED unchanged server.log
postgres -D "$PWD/data" -c listen_addresses= -c unix_socket_directories="$PWD" -c fsync=off \
  -c shared_buffers=32MB >server.log 2>&1 &
server=$!

client() {
  PGOPTIONS='-c client_min_messages=warning' psql --host="$PWD" --username=store --dbname="$1" \
    --no-password --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$2"
}

until client postgres --command='CREATE DATABASE store' 2>load.log; do
  kill -0 "$server" 2>/dev/null || refuse JOB_INTERRUPTED unchanged server.log
  sleep 1
done
if ! client store --file=database.sql >/dev/null 2>load.log; then
  kill -0 "$server" 2>/dev/null || refuse JOB_INTERRUPTED unchanged server.log
  refuse LOAD_FAILED unchanged load.log
fi
table=$(client store --command="
  SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
  WHERE tablename = 'mikro_orm_migrations' ORDER BY schemaname LIMIT 1" 2>load.log) ||
  refuse LOAD_FAILED unchanged load.log
[ -n "$table" ] || fail LOAD_FAILED unchanged 'it has no table with the migrations of a Medusa'
count=$(client store --command="SELECT count(*) FROM $table" 2>load.log) ||
  refuse LOAD_FAILED unchanged load.log
[ "$count" -gt 0 ] || fail LOAD_FAILED unchanged "its table $table is empty"
