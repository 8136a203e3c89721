# shellcheck shell=sh disable=SC1091,SC2086
# Puts the files that fetch.sh has unpacked in the place of those of the store, where there are any.
set -eu
umask 022
. /backup/job/report.sh
cd /backup
new=files/.storeplane-restore
if [ ! -d "$new/files" ]; then
  # A pod of the store's that somebody has started meanwhile removes them.
  [ ! -e work/has-files ] || fail LOAD_FAILED changed 'the files that were unpacked are gone'
  exit 0
fi
find files -mindepth 1 -maxdepth 1 ! -name .storeplane-restore ! -name lost+found \
  -exec rm -rf {} +
find "$new/files" -mindepth 1 -maxdepth 1 -exec mv {} files/ \;
rm -rf "$new"
