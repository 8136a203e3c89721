# shellcheck shell=sh disable=SC1091,SC2086
# Gets the archive and unpacks it, its files beside those of the store: whether there is room for them is
# known before anything is changed.
set -eu
umask 007
. /backup/job/report.sh
cd /backup
new=files/.storeplane-restore
# Of a restore that was cut off: none of it may be taken for this backup's.
rm -rf "$new"
$TRANSFER get work/archive.tar.gz
tar -xzf work/archive.tar.gz work/database.sql 2>work/tar.log ||
  refuse BACKUP_DAMAGED unchanged work/tar.log
if [ -d files ] && tar -tzf work/archive.tar.gz | grep -q '^files/'; then
  mkdir "$new"
  if ! (umask 022 && tar -xzf work/archive.tar.gz -C "$new" files) 2>work/tar.log; then
    code=LOAD_FAILED
    has_room "$new" || code=BACKUP_NO_ROOM
    rm -rf "$new"
    refuse "$code" unchanged work/tar.log
  fi
  touch work/has-files
fi
# Its room is for the database.
rm work/archive.tar.gz
