# shellcheck shell=sh disable=SC1091,SC2086
# Read by the scripts of a job.

# fail CODE CHANGED WORDS: ends the container and tells the provisioner why; CHANGED is 'changed' or
# 'unchanged': whether the store's data may not be what it was.
fail() {
  printf '%s %s %s' "$1" "$2" "$(printf '%s' "$3" | tr '\n' ' ' | cut -c1-1000)" \
    >/dev/termination-log
  exit 1
}

# refuse CODE CHANGED LOG: as fail, with the end of a log; a full disk has a code of its own.
refuse() {
  words=$(tail -c 1000 "$3" 2>/dev/null || true)
  case $words in
    *'No space left'* | *'Disk full'* | *'write error'*) fail BACKUP_NO_ROOM "$2" "$words" ;;
    *) fail "$1" "$2" "$words" ;;
  esac
}
