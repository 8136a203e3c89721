# shellcheck shell=sh disable=SC1091,SC2086
# Brings the database to what database.sql has. MariaDB cannot take back what it is told of tables, so
# what is there now is written down first, and loaded again should that fail.
set -eu
umask 007
. /backup/job/report.sh
cd /backup/work
export MYSQL_PWD="$DATABASE_PASSWORD"

# The dump is the tenant's: where the client can, it obeys nothing that reaches beyond the database.
sandbox=
! mariadb --no-defaults --sandbox --version >/dev/null 2>&1 || sandbox=--sandbox

client() {
  mariadb $sandbox --host="$DATABASE_HOST" --user="$DATABASE_USER" --max-allowed-packet=1G \
    --default-character-set=utf8mb4 \
    --batch --skip-column-names "$DATABASE_NAME"
}

# load FILE: empties the database and loads a dump.
load() {
  {
    echo 'SET FOREIGN_KEY_CHECKS = 0;'
    client <<'SQL'
SELECT CONCAT(
  'DROP ', CASE table_type WHEN 'VIEW' THEN 'VIEW' WHEN 'SEQUENCE' THEN 'SEQUENCE' ELSE 'TABLE' END,
  ' IF EXISTS `', REPLACE(table_name, '`', '``'), '`;')
FROM information_schema.tables WHERE table_schema = DATABASE();
SQL
  } >empty.sql 2>load.log && cat empty.sql "$1" | client >/dev/null 2>load.log
}

mariadb-dump --host="$DATABASE_HOST" --user="$DATABASE_USER" --single-transaction --quick \
  --max-allowed-packet=1G --skip-lock-tables --routines --events --hex-blob --no-tablespaces \
  --default-character-set=utf8mb4 "$DATABASE_NAME" >before.sql 2>load.log ||
  refuse LOAD_FAILED unchanged load.log
if ! load database.sql; then
  cp load.log first.log
  load before.sql || refuse LOAD_FAILED changed load.log
  refuse LOAD_FAILED unchanged first.log
fi
rm -f before.sql database.sql
