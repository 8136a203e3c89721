# shellcheck shell=sh disable=SC1091
# Loads database.sql into a database of its own, which nothing else reaches and which goes with the pod, and
# sees that it is a store's.
set -eu
umask 007
. /backup/job/report.sh
cd /backup/work

initdb --pgdata="$PWD/data" --username=postgres --auth=trust --encoding=UTF8 --no-sync \
  >server.log 2>&1 || refuse JOB_INTERRUPTED unchanged server.log
postgres -D "$PWD/data" -c listen_addresses= -c unix_socket_directories="$PWD" -c fsync=off \
  -c shared_buffers=32MB >server.log 2>&1 &
server=$!

# client USER DATABASE ARGUMENT...
client() {
  user=$1 database=$2
  shift 2
  PGOPTIONS='-c client_min_messages=warning' psql --host="$PWD" --username="$user" \
    --dbname="$database" --no-password --no-psqlrc --quiet --tuples-only --no-align \
    --set=ON_ERROR_STOP=1 "$@"
}

# load OWNER: into a new database of that user's.
load() {
  owner=$1
  client postgres postgres --command='DROP DATABASE IF EXISTS store' \
    --command="CREATE DATABASE store OWNER $owner" --command='\connect store' \
    --command="ALTER SCHEMA public OWNER TO $owner" 2>load.log ||
    refuse JOB_INTERRUPTED unchanged load.log
  client "$owner" store --file=database.sql >/dev/null 2>load.log && return
  # 3: a statement failed. Else the server has, for a full disk say, which is not the dump's fault.
  [ $? -eq 3 ] || refuse JOB_INTERRUPTED unchanged load.log
  return 1
}

# Whether the load has failed for what the owner of a database may not do, an extension say. The store's own
# user may be more than that.
wants_more() { grep -q 'permission denied\|must be superuser\|must be owner' load.log; }

until client postgres postgres --command='SELECT 1' >/dev/null 2>load.log; do
  kill -0 "$server" 2>/dev/null || refuse JOB_INTERRUPTED unchanged server.log
  sleep 1
done
client postgres postgres --command='CREATE ROLE store LOGIN' 2>load.log ||
  refuse JOB_INTERRUPTED unchanged load.log
# The tenant's own functions run while its data is loaded: what owns the database reaches nothing outside of it.
if ! load store && ! { wants_more && load postgres; }; then
  refuse LOAD_FAILED unchanged load.log
fi
table=$(client "$owner" store --command="
  SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
  WHERE tablename = 'mikro_orm_migrations' ORDER BY schemaname LIMIT 1" 2>load.log) ||
  refuse LOAD_FAILED unchanged load.log
[ -n "$table" ] || fail LOAD_FAILED unchanged 'it has no table with the migrations of a Medusa'
count=$(client "$owner" store --command="SELECT count(*) FROM $table" 2>load.log) ||
  refuse LOAD_FAILED unchanged load.log
[ "$count" -gt 0 ] || fail LOAD_FAILED unchanged "its table $table is empty"
