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

# An image whose recipe fails half-way.
build_half() {
  recipes=$scratch/recipes image=localhost/storeplane/half:1 settings='{}'
  mkdir -p "$recipes/half/files" "$images_cache"
  install_root() {
    touch "$1/made"
    false
    touch "$1/never"
  }
  finish_root() { touch "$1/finished"; }
  build_image half key
}

build_whole() {
  recipes=$scratch/recipes image=localhost/storeplane/whole:1 settings='{}'
  mkdir -p "$recipes/whole/files" "$images_cache"
  install_root() { touch "$1/made"; }
  finish_root() { [[ -e $1/made ]]; }
  build_image whole key
}

test_images() {
  check "an image that fails half-way is said" says "half:1 could not be built" with_pieces build_half
  check "with what failed" grep -F "false failed" "$scratch/storeplane/images/half.log"
  check "and is not kept" test ! -e "$scratch/storeplane/images/half-key.tar"
  check "nor is its folder" test -z "$(find "$scratch/storeplane/images" -name 'root.*')"
  check "one that does not fail is kept" with_pieces build_whole
  check "as an archive" tar -tf "$scratch/storeplane/images/whole-key.tar"
}

# What is built while it waits is not built again.
ensure_programs() {
  kubernetes_source_version() { printf 1.20; }
  build_kubernetes() { printf '%s\n' "$@" >>"$scratch/compiled"; }
  ensure_kubernetes kube-apiserver kubelet
}

test_kubernetes() {
  local lock waiter folder
  check "compiles what is missing" with_pieces ensure_programs
  check "all of it" diff <(printf '%s\n' 1.20 kube-apiserver kubelet) "$scratch/compiled"
  : >"$scratch/compiled"
  exec {lock}>"$scratch/storeplane/kubernetes/lock"
  flock "$lock"
  with_pieces ensure_programs {lock}>&- &
  waiter=$!
  check "waits for another that compiles" within 10 waits_for "$scratch/storeplane/kubernetes/lock"
  for folder in "$scratch"/storeplane/kubernetes/*/bin; do
    install -m 0755 /dev/null "$folder/kube-apiserver"
    install -m 0755 /dev/null "$folder/kubelet"
  done
  exec {lock}>&-
  check "goes on then" wait "$waiter"
  check "and does not do it again" test ! -s "$scratch/compiled"
}

# waits_for FILE: whether somebody waits to lock it.
waits_for() { grep -qE "^[0-9]+: -> FLOCK .*:$(stat -c %i "$1") " /proc/locks; }

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

# With a proxy that does not answer.
test_proxy() {
  local server
  (cd "$scratch" && exec python3 -u -m http.server --bind 127.0.0.1 0) >"$scratch/server" 2>&1 &
  server=$!
  within 10 grep -q 'Serving HTTP' "$scratch/server"
  # shellcheck disable=SC2016 # the other bash's to fill in
  local ask=(bash -euc '. "$0/scripts/cluster.d/common.sh" && curl -fsS --max-time 5 "$1"' "$project"
    "$(sed -n 's/.*(\(http[^)]*\)).*/\1/p' "$scratch/server")")
  local proxy=(env -u NO_PROXY -u no_proxy http_proxy=http://127.0.0.1:9)
  check "a proxy is not asked for this machine" "${proxy[@]}" "${ask[@]}"
  check "nor beside a person's exceptions" "${proxy[@]}" NO_PROXY=example.com "${ask[@]}"
  check "nor where all are exceptions" "${proxy[@]}" no_proxy='*' "${ask[@]}"
  kill "$server"
  wait "$server" || true
}

# A swift whose answer is a file's.
test_stage() { # test_stage STATUS <OUTPUT
  mkdir -p "$scratch/bin"
  cat >"$scratch/answer"
  printf '#!/bin/sh\ncat "%s"\nexit %s\n' "$scratch/answer" "$1" >"$scratch/bin/swift"
  chmod +x "$scratch/bin/swift"
  PATH="$scratch/bin:$PATH" STOREPLANE_TEST_KUBECONFIG=/none "$project/scripts/test" "$stage" \
    >"$scratch/test" 2>&1
}

test_tests() {
  local stage none="Test run with 0 tests in 0 suites passed after 0.001 seconds."
  for stage in unit cluster; do
    check "$stage: no test is a failure" fails_with 1 test_stage 0 <<<"✔ $none"
    check "$stage: which is said" grep -F "KubernetesTests: error: no test ran" "$scratch/test"
    check "$stage: a crash is a failure" fails_with 1 test_stage 1 <<TEXT
◇ Test begun
error: Exited with unexpected signal code 11
TEXT
    check "$stage: which is shown" grep -F "KubernetesTests: error: Exited with" "$scratch/test"
  done
  stage=unit
  check "XCTest's none are no failure" test_stage 0 <<TEXT
	 Executed 0 tests, with 0 failures (0 unexpected) in 0.000 (0.000) seconds
✔ Test run with 1 test in 1 suite passed after 0.110 seconds.
TEXT
  check "one line a module is said" grep -E "^SetupTests: .*with 1 test" "$scratch/test"
}

# Python's environment, where a run was broken off before pip was there; two at once.
test_venv() {
  local place=$scratch/checkout first
  mkdir -p "$place"/{scripts/contracts,Tests,.venv/bin}
  cp -R "$project"/scripts/{venv,packages,cluster.d} "$place/scripts"
  printf '# none\n' | tee "$place/scripts/contracts/requirements.txt" >"$place/Tests/requirements.txt"
  ln -s "$(command -v python3)" "$place/.venv/bin/python"
  "$place/scripts/venv" >"$scratch/venv" 2>&1 &
  first=$!
  check "a half-made .venv is finished" "$place/scripts/venv"
  check "by two at once" wait "$first"
  check "with pip" "$place/.venv/bin/pip" --version
}

if (($#)); then
  load_pieces
  "$1"
  exit
fi
scratch=$(mktemp -d /tmp/storeplane-pieces.XXXXXX)
export scratch XDG_CACHE_HOME=$scratch # the cache is its folder storeplane
trap 'rm -rf "$scratch"' EXIT
test_images
test_kubernetes
test_whose_node
test_proxy
test_tests
test_venv
summary
