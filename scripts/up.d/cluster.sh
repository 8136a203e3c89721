# shellcheck shell=bash disable=SC2154 # variables are shared with scripts/up and scripts/down
# The cluster that stores are made in: the person's own, or a node that scripts/cluster brings up.

# Says in machine.env what the provisioner needs of this machine.
prepare_cluster() {
  "$project/scripts/venv"
  local library
  library=$(printf '%s\n' "$project"/.venv/lib/python3.*/site-packages/helm_python/lib/libhelm_c.so)
  [[ -f $library ]] || fail "Helm's library is missing: $library" "Remove .venv, and run this again."
  local lines=("HELM_WORKER_PATH=$binaries/helm-worker" "HELM_LIBRARY_PATH=$library"
    "CHART_PATH=$project/helm/ecommerce-store")
  if names_cluster; then
    stage "cluster: that of KUBECONFIG in $state/storeplane.env"
  else
    bring_up_node
    local ingress
    ingress=$(sed -n 's/^ingress_port=//p' "$state/cluster/node/settings")
    lines+=("KUBECONFIG=$state/cluster/node/kubeconfig"
      "CHART_VALUES_FILES=$project/helm/ecommerce-store/values-local.yaml"
      "STORE_URL=http://{host}:$ingress" "INGRESS_ADDRESS=127.0.0.1:$ingress")
  fi
  (umask 077 && printf '%s\n' "# Written by scripts/up; storeplane.env goes before it." \
    "${lines[@]}" >"$state/machine.env.new")
  mv "$state/machine.env.new" "$state/machine.env"
}

names_cluster() { grep -Eqs '^(PROVISIONER_)?KUBECONFIG=.' "$state/storeplane.env"; }

bring_up_node() {
  if "$project/scripts/cluster" status >/dev/null 2>&1; then
    stage "cluster: the node is up already"
  else
    # A node that is made here is for scripts/down to take down, as often as it is brought up.
    [[ -e $state/cluster/node ]] || touch "$state/node-is-ours"
    # Its pods fetch plugins: hence egress.
    stage "cluster: bringing up a node (the first time compiles Kubernetes: minutes)"
    run_quietly cluster "$project/scripts/cluster" up --egress
  fi
  stage "cluster: the stores' images (the first time builds them: minutes)"
  run_quietly images "$project/scripts/images"
}

# run_quietly NAME COMMAND...: its output in a log, and its end on the screen when it fails.
run_quietly() {
  local log="$logs/$1.log"
  shift
  "$@" >"$log" 2>&1 {state_lock}>&- || {
    tail -n 15 "$log" >&2
    fail "$(basename "$1") failed" "The whole output: $log"
  }
}

# take_down_node [--purge]: the node that scripts/up made; one that a person did stays.
take_down_node() {
  [[ -f $state/node-is-ours ]] || return 0
  "$project/scripts/cluster" down "$@" {state_lock}>&-
  [[ ${1:-} != --purge ]] || rm -f "$state/node-is-ours"
}
