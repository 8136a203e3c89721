# shellcheck shell=sh disable=SC1091,SC2086
# Read by the scripts of a job.

# fail CODE CHANGED WORDS: ends the container and tells the provisioner why; CHANGED is 'changed' or
# 'unchanged': whether the store's data may not be what it was.
fail() {
  printf '%s %s %s' "$1" "$2" "$(printf '%s' "$3" | tr '\n' ' ' | cut -c1-1000)" \
    >/dev/termination-log
  exit 1
}

# has_room FOLDER: whether as much can be written there as a database asks for at once.
has_room() {
  room=true
  head -c 4194304 /dev/zero >"$1/room" 2>/dev/null || room=false
  rm -f "$1/room"
  "$room"
}

# refuse CODE CHANGED LOG: as fail, with the end of a log; a full disk has a code of its own, also where the
# log, which lies on it, says nothing.
refuse() {
  words=$(tail -c 1000 "$3" 2>/dev/null || true)
  has_room "$(dirname "$3")" || fail BACKUP_NO_ROOM "$2" "$words"
  case $words in
    *'No space left'* | *'Disk full'* | *'write error'* | *"The table '"*"' is full"*)
      fail BACKUP_NO_ROOM "$2" "$words"
      ;;
    *) fail "$1" "$2" "$words" ;;
  esac
}
