# shellcheck shell=sh disable=SC1091,SC2086
# Gets the archive and takes the dump out of it. Nothing of the store is changed by this.
set -eu
umask 007
. /backup/job/report.sh
cd /backup
$TRANSFER get work/archive.tar.gz
tar -xzf work/archive.tar.gz work/database.sql 2>work/tar.log ||
  refuse BACKUP_DAMAGED unchanged work/tar.log
