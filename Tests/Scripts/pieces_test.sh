#!/usr/bin/env bash
# Tests pieces of the scripts by themselves, with stand-ins for what takes minutes or a node.
# usage: Tests/Scripts/pieces_test.sh
# shellcheck disable=SC2031,SC2034,SC2154,SC2317,SC2329 # the pieces use variables and functions of these tests
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=Tests/Scripts/checks.sh
. "$project/Tests/Scripts/checks.sh"

# with_pieces FUNCTION: in a bash of its own, which ends where something fails, as a script does.
with_pieces() { bash "${BASH_SOURCE[0]}" "$1"; }

load_pieces() {
  # shellcheck source=scripts/cluster.d/common.sh
  . "$project/scripts/cluster.d/common.sh"
  # shellcheck source=scripts/cluster.d/build.sh
  . "$pieces/build.sh"
  # shellcheck source=scripts/cluster.d/images.sh
  . "$pieces/images.sh"
  # shellcheck source=scripts/up.d/common.sh
  . "$project/scripts/up.d/common.sh"
  # shellcheck source=scripts/up.d/cluster.sh
  . "$project/scripts/up.d/cluster.sh"
}

# A node that is only files: "up" marks it as up, and it has data until it is purged.
node() { # node status|up|down [--purge]
  local data=$STOREPLANE_STATE/cluster/node
  case $1 in
    status) [[ -e $data/up ]] ;;
    up) mkdir -p "$data" && touch "$data/up" ;;
    down)
      rm -f "$data/up"
      [[ ${2:-} != --purge ]] || rm -r "$data"
      ;;
  esac
}

with_node() { # with_node STATE COMMAND...
  project=$scratch/project STOREPLANE_STATE=$scratch/$1
  shift
  mkdir -p "$project/scripts"
  printf '#!/usr/bin/env bash\n%s\nnode "$@"\n' "$(declare -f node)" >"$project/scripts/cluster"
  printf '#!/bin/sh\n' >"$project/scripts/images"
  chmod +x "$project"/scripts/{cluster,images}
  locate_state
  make_folders
  "$@"
}

up_makes_node() { with_node ours bring_up_node; }
down_leaves_data() { with_node ours take_down_node; }
purge_removes_it() { with_node ours take_down_node --purge; }
person_makes_node() { with_node theirs node up; }
machine_restarts() { with_node theirs node down; }
up_takes_it() { with_node theirs bring_up_node; }
purge_leaves_it() { with_node theirs take_down_node --purge; }

test_whose_node() {
  check "scripts/up makes a node" with_pieces up_makes_node
  check "scripts/down takes it down" with_pieces down_leaves_data
  check "and leaves its data" test -d "$scratch/ours/cluster/node" -a ! -e "$scratch/ours/cluster/node/up"
  check "--purge after that removes them" with_pieces purge_removes_it
  check "all of them" test ! -e "$scratch/ours/cluster/node" -a ! -e "$scratch/ours/node-is-ours"
  check "a person makes a node" with_pieces person_makes_node
  check "the machine restarts" with_pieces machine_restarts
  check "scripts/up brings it up" with_pieces up_takes_it
  check "scripts/down --purge does not concern it" with_pieces purge_leaves_it
  check "it is up" test -e "$scratch/theirs/cluster/node/up"
}

if (($#)); then
  load_pieces
  "$1"
  exit
fi
scratch=$(mktemp -d /tmp/storeplane-pieces.XXXXXX)
export scratch XDG_CACHE_HOME=$scratch # the cache is its folder storeplane
trap 'rm -rf "$scratch"' EXIT
test_whose_node
summary
