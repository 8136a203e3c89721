# shellcheck shell=sh disable=SC1091,SC2086
# Brings the files of the store's volume to what the archive has, where there are any.
set -eu
umask 022
. /backup/job/report.sh
cd /backup
if [ ! -d files ] || ! tar -tzf work/archive.tar.gz | grep -q '^files/'; then
  exit 0
fi
# Unpacked beside what is there, which goes only when all of it is.
new=files/.storeplane-restore
rm -rf "$new"
mkdir "$new"
tar -xzf work/archive.tar.gz -C "$new" files 2>work/tar.log ||
  refuse LOAD_FAILED changed work/tar.log
find files -mindepth 1 -maxdepth 1 ! -name .storeplane-restore ! -name lost+found \
  -exec rm -rf {} +
find "$new/files" -mindepth 1 -maxdepth 1 -exec mv {} files/ \;
rm -rf "$new"
