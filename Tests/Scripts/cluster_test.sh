#!/usr/bin/env bash
# Tests scripts/cluster and scripts/images against the real thing.
# usage: Tests/Scripts/cluster_test.sh [control-plane | node | walk]   all of them unless one is named
#   control-plane  an API server of its own: up, up again, a killed process, a stale pid, down
#   node           a second node beside any that is up: up, down, what is left on the machine
#   walk           a shop on the usual node, which is brought up if need be and left up
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cluster="$project/scripts/cluster"
# shellcheck source=Tests/Scripts/checks.sh
. "$project/Tests/Scripts/checks.sh"

test_control_plane() {
  local options=(--control-plane-only --name test-api --port 26443)
  local kubeconfig="$state/cluster/test-api/kubeconfig"
  check "refuses an argument it does not know" says "unknown argument" "$cluster" up --fast
  check "refuses a port that is none" says "is no port" "$cluster" up --port 70000
  check "refuses a name that is a path" says "a name has" "$cluster" up --name ../x
  check "is not up at first" fails_with 3 "$cluster" status "${options[@]}"
  check "comes up" "$cluster" up "${options[@]}"
  check "answers with its kubeconfig" \
    kubectl --kubeconfig="$kubeconfig" create configmap kept --from-literal=a=b
  check "its kubeconfig is for its owner only" test "$(stat -c %a "$kubeconfig")" = 600
  check "does nothing when it is up" says "already up" "$cluster" up "${options[@]}"
  check "is a control plane and stays one" says "is a control-plane" "$cluster" up --name test-api

  local pid
  read -r pid _ <"$state/cluster/test-api/run/etcd.pid"
  kill -KILL "$pid"
  check "notices a process that was killed" fails_with 3 "$cluster" status "${options[@]}"
  check "starts it again" "$cluster" up "${options[@]}"
  check "has kept its objects" kubectl --kubeconfig="$kubeconfig" get configmap kept

  # A pid that was given to another process since: this shell's own.
  mv "$state/cluster/test-api/run/controller-manager.pid" "$scratch/real.pid"
  printf '%s 1\n' "$$" >"$state/cluster/test-api/run/controller-manager.pid"
  check "takes no stranger for its own" fails_with 3 "$cluster" status "${options[@]}"
  mv "$scratch/real.pid" "$state/cluster/test-api/run/controller-manager.pid"

  check "goes down" "$cluster" down "${options[@]}"
  check "leaves no process" fails_with 1 pgrep -f "$state/cluster/test-api/"
  check "keeps the data" test -d "$state/cluster/test-api/etcd"
  check "removes the data when asked" "$cluster" down "${options[@]}" --purge
  check "and all of it" test ! -e "$state/cluster/test-api"
}

# What a node changes on the machine: interfaces, network namespaces, mounts, kernel parameters.
machine_settings() {
  ip -o link show | awk '{print $2}'
  find /run/netns /run/storeplane -mindepth 1 -maxdepth 1 -name 'st*' 2>/dev/null | sort
  pgrep -f "$state/cluster/test-node/|/run/storeplane/[1-9]" || true
  compgen -G '/var/lib/cni/results/storeplane-[1-9]*-*-eth0' || true
  compgen -G '/sys/fs/cgroup/*/storeplane-[1-9]*' || true
  awk '$2 ~ /test-node/ {print $2}' /proc/mounts
  if ! compgen -G '/run/storeplane/slot-*' >/dev/null; then
    sysctl vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops net.ipv4.ip_forward
  fi
}

same_settings() { diff "$scratch/before" <(machine_settings); }

test_node() {
  local options=(--name test-node)
  machine_settings >"$scratch/before"
  check "a second node comes up" "$cluster" up "${options[@]}"
  local kubeconfig="$state/cluster/test-node/kubeconfig"
  check "pods run on it" within 30 grep -qx Running <(
    kubectl --kubeconfig="$kubeconfig" --namespace ingress get pods \
      -o 'jsonpath={.items[0].status.phase}{"\n"}'
  )
  check "goes down" "$cluster" down "${options[@]}"
  check "the machine is as before" same_settings
  check "comes up again with its data" "$cluster" up "${options[@]}"

  local pid
  read -r pid _ <"$state/cluster/test-node/run/containerd.pid"
  kill -KILL "$pid"
  check "notices that containerd was killed" fails_with 3 "$cluster" status "${options[@]}"
  check "recovers from it" "$cluster" up "${options[@]}"
  check "is removed whole" "$cluster" down "${options[@]}" --purge
  check "the machine is as before, again" same_settings
}

test_walk() {
  check "the node is up" "$cluster" up
  check "the images are there" "$project/scripts/images"
  export KUBECONFIG="$state/cluster/node/kubeconfig"
  namespace="shop-$$"
  address=$("$cluster" status | sed -n 's/^ingress: *//p')
  host="$namespace.localhost"
  make_shop
  check "the database is ready" rollout statefulset/mariadb
  check "WordPress is ready" rollout deployment/wordpress
  check "the ingress follows within a second" within 1 page_has '' -I
  check "the shop is set up by a script in the pod" set_up_shop
  check "the front page has its title" within 5 page_has '<title>Tulips'
  check "the front page has a theme" page_has 'wp-content/themes/'
  check "the Ingress tells its address" says 127.0.0.1 kube get ingress wordpress \
    -o 'jsonpath={.status.loadBalancer.ingress[0].ip}'
  check "an unknown host is refused in words" says "No Ingress" \
    curl --silent --noproxy '*' --header 'Host: nobody.localhost' "$address"

  kube delete pod mariadb-0 --wait=false >/dev/null
  check "a new database pod is ready" within 60 new_database_ready
  check "with the old one's data" within 10 page_has '<title>Tulips'

  local volumes
  volumes=$(kubectl get persistentvolumes -o \
    "jsonpath={range .items[?(@.spec.claimRef.namespace=='$namespace')]}{.spec.local.path}{'\n'}{end}")
  check "two volumes are folders of the node" test "$(wc -l <<<"$volumes")" = 2
  check "the namespace is deleted" kubectl delete namespace "$namespace" --timeout=60s
  check "its volumes are gone" within 10 no_volumes
  local folder
  for folder in $volumes; do
    check "their folder is gone" test ! -e "$folder"
  done
  check "its address is gone" within 2 says "No Ingress" \
    curl --silent --noproxy '*' --header "Host: $host" "$address"
}

kube() { kubectl --namespace "$namespace" "$@"; }

rollout() { kube rollout status "$1" --timeout=90s; }

make_shop() {
  kubectl create namespace "$namespace" >/dev/null
  # A password with every character that SQL, a shell or PHP could trip over.
  printf '%s' "p'a\"s\\s;\`\$x" >"$scratch/password"
  printf '%s' "r00t" >"$scratch/root-password"
  kube create secret generic database --from-file="$scratch/password" \
    --from-file="$scratch/root-password" >/dev/null
  sed "s/shop\.localhost/$host/" "$project/Tests/Scripts/shop.yaml" | kube apply -f - >/dev/null
}

page_has() { # page_has TEXT [CURL-OPTION]
  local text=$1
  shift
  curl --silent --fail --location --noproxy '*' --max-time 10 --resolve "$host:${address##*:}:127.0.0.1" \
    "$@" "http://$host:${address##*:}/" | tee /dev/stderr | grep -F -- "$text" >/dev/null
}

set_up_shop() {
  kube exec -i deployment/wordpress -- php <<PHP | grep -qx 'set up'
<?php
define('WP_INSTALLING', true);
// Left to guess, WordPress takes the script's path for a part of the address.
define('WP_SITEURL', 'http://$host:${address##*:}');
\$_SERVER['HTTP_HOST'] = '$host:${address##*:}';
require '/var/www/html/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Tulips & more', 'admin', 'admin@example.com', true, '', bin2hex(random_bytes(16)));
echo "\nset up\n";
PHP
}

new_database_ready() {
  kube get pod mariadb-0 -o \
    'jsonpath={.metadata.deletionTimestamp}{.status.conditions[?(@.type=="Ready")].status}' |
    grep -qx True
}

no_volumes() { ! kubectl get persistentvolumes -o yaml | grep -qF "namespace: $namespace"; }

clean_up() {
  rm -rf "$scratch"
  if [[ -n ${namespace:-} ]]; then
    kubectl delete namespace "$namespace" --ignore-not-found --wait=false >/dev/null
  fi
}

state=${STOREPLANE_STATE:-$project/.storeplane}
scratch=$(mktemp -d)
trap clean_up EXIT
case ${1:-all} in
  control-plane) test_control_plane ;;
  node) test_node ;;
  walk) test_walk ;;
  all)
    test_control_plane
    test_node
    test_walk
    ;;
  *)
    sed -n '2,6s/^# //p' "$0"
    exit 2
    ;;
esac
summary
