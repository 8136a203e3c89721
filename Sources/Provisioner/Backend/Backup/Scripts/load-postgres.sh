# shellcheck shell=sh disable=SC1091,SC2086
# Brings the database to what database.sql has, wholly or not at all.
set -eu
umask 007
. /backup/job/report.sh
cd /backup/work
cat >empty.sql <<'SQL'
DO $$
DECLARE
  found name;
BEGIN
  FOR found IN SELECT nspname FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
  LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', found);
  END LOOP;
  CREATE SCHEMA public;
END
$$;
SQL
PGPASSWORD=$DATABASE_PASSWORD PGOPTIONS='-c client_min_messages=warning' \
  psql --host="$DATABASE_HOST" --username="$DATABASE_USER" --dbname="$DATABASE_NAME" --no-password \
  --no-psqlrc --quiet --single-transaction --set=ON_ERROR_STOP=1 --file=empty.sql \
  --file=database.sql >/dev/null 2>load.log ||
  refuse LOAD_FAILED unchanged load.log
rm -f database.sql
