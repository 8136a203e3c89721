# shellcheck shell=sh disable=SC1091,SC2086
# Writes the database as it is at one moment, while it is used.
set -eu
umask 007
. /backup/job/report.sh
cd /backup/work
MYSQL_PWD=$DATABASE_PASSWORD mariadb-dump --host="$DATABASE_HOST" --user="$DATABASE_USER" \
  --max-allowed-packet=1G --single-transaction --quick --skip-lock-tables --routines --events \
  --hex-blob --no-tablespaces \
  --default-character-set=utf8mb4 "$DATABASE_NAME" >database.sql 2>dump.log ||
  refuse DUMP_FAILED unchanged dump.log
