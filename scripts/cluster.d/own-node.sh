# shellcheck shell=bash
# A node for tests alone, unless they are given a cluster.

# Sets STOREPLANE_TEST_KUBECONFIG; what it brings up goes with the shell.
use_own_node() {
  [[ -z ${STOREPLANE_TEST_KUBECONFIG-} ]] || return 0
  # Apart from the developer's own cluster, and with a short path: sockets lie below it.
  STOREPLANE_STATE=$(mktemp -d /tmp/storeplane.XXXXXX)
  export STOREPLANE_STATE
  trap 'scripts/cluster down --purge; rm -rf "$STOREPLANE_STATE"' EXIT
  scripts/cluster up
  scripts/images
  export STOREPLANE_TEST_KUBECONFIG=$STOREPLANE_STATE/cluster/node/kubeconfig
}
