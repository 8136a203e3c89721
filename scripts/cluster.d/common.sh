# shellcheck shell=bash disable=SC2034 # variables are for those who read this file
# What the scripts for the cluster and for an installation use: where things are, progress, waiting.

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pieces="$project/scripts/cluster.d"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/storeplane"
# The images that the cluster itself needs; scripts/images builds the stores'.
pause_image=localhost/storeplane/pause:1
ingress_image=localhost/storeplane/ingress:1

# A command that fails where nobody looks ends the script: then it says where that was.
set -E
trap '[[ $- != *e* ]] || printf "error: %s failed (%s, line %s)\n" "$BASH_COMMAND" "${BASH_SOURCE[0]}" "$LINENO" >&2' ERR

cluster_path_max=64 # the kubelet puts sockets below a cluster's folder, whose paths may have 107 characters

# What is asked for on this machine or of its node is not for a proxy to see: passwords among it.
no_proxy=${no_proxy:-${NO_PROXY:-}}
if [[ $no_proxy != '*' ]]; then
  no_proxy+=${no_proxy:+,}127.0.0.1,localhost,::1,10.99.0.0/16,10.96.0.0/16,10.244.0.0/16
fi
export no_proxy NO_PROXY=$no_proxy

# find_state FOLDER LENGTH-MAX: sets state to this folder of the state ("" is the state itself), an
# absolute path.
find_state() {
  state=${STOREPLANE_STATE:-$project/.storeplane}$1
  [[ $state == /* ]] || state="$PWD/$state"
  if [[ ! $state =~ ^[A-Za-z0-9/._-]+$ ]] || ((${#state} > $2)); then
    fail "the state folder's path is unsuitable: $state" \
      "It may have $2 letters, digits and any of / . _ -; set STOREPLANE_STATE."
  fi
}

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
