# shellcheck shell=sh disable=SC1091,SC2086
# Packs the dump and the files of the store's volume, and has the archive put where it is kept.
set -eu
umask 007
. /backup/job/report.sh
cd /backup
set -- work/database.sql
[ ! -d files ] || set -- "$@" files
status=0
tar -czf work/archive.tar.gz --exclude=files/lost+found \
  --exclude=files/.storeplane-restore "$@" 2>work/tar.log || status=$?
# 1: a file changed while it was read, as files of a store that serves do.
[ "$status" -le 1 ] || refuse DUMP_FAILED unchanged work/tar.log
rm work/database.sql
exec $TRANSFER put work/archive.tar.gz
