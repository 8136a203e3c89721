# shellcheck shell=sh disable=SC1091,SC2086
# Writes the database as it is at one moment, while it is used.
set -eu
umask 007
. /backup/job/report.sh
cd /backup/work
PGPASSWORD=$DATABASE_PASSWORD pg_dump --host="$DATABASE_HOST" --username="$DATABASE_USER" \
  --dbname="$DATABASE_NAME" --no-password --no-owner --no-privileges >database.sql 2>dump.log ||
  refuse DUMP_FAILED unchanged dump.log
