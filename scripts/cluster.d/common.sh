# shellcheck shell=bash disable=SC2034 # variables are for those who read this file
# What every piece of scripts/cluster and scripts/images uses: where things are, progress, waiting.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pieces="$project/scripts/cluster.d"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/storeplane"
# The images that the cluster itself needs; scripts/images builds the stores'.
pause_image=localhost/storeplane/pause:1
ingress_image=localhost/storeplane/ingress:1

# A command that fails where nobody looks ends the script: then it says where that was.
set -E
trap '[[ $- != *e* ]] || printf "error: %s failed (%s, line %s)\n" "$BASH_COMMAND" "${BASH_SOURCE[0]}" "$LINENO" >&2' ERR

# Prints the start of a stage with the seconds since the script began.
stage() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }

note() { printf '        %s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  local line
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit 1
}

# wait_until SECONDS COMMAND...: runs the command until it succeeds, ten times a second.
wait_until() {
  local limit=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < limit)) || return 1
    sleep 0.1
  done
}

# Runs the command as root: as it is for root, through sudo for anybody else.
as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# fingerprint FILE-OR-TEXT...: twelve hexadecimal digits that change with any of the contents.
fingerprint() {
  local item
  for item in "$@"; do
    if [[ -f $item ]]; then cat "$item"; else printf '%s\n' "$item"; fi
  done | sha256sum | cut -c1-12
}
