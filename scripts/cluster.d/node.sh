# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with scripts/cluster
# The node: containerd, the kubelet and kube-proxy, with their configuration.

node_packages=(
  containerd runc containernetworking-plugins iptables ipset conntrack ebtables ethtool socat
  iproute2 kmod procps util-linux haproxy gcc libc6-dev python3
)
containerd_socket() { printf '%s' "$runtime/containerd.sock"; }

containerd_client() { ctr --address "$(containerd_socket)" --namespace k8s.io "$@"; }

write_node_configuration() {
  mkdir -p "$state/node/cni" "$state/node/volume-plugins" "$state/kubelet" "$state/containerd"
  write_containerd_configuration >"$state/node/containerd.toml"
  write_bridge_configuration >"$state/node/cni/10-bridge.conflist"
  write_kubelet_configuration >"$state/node/kubelet.yaml"
  write_proxy_configuration >"$state/node/proxy.yaml"
  printf 'nameserver %s\n' "$api_address" >"$state/node/resolv.conf"
}

# restrict_oom_score_adj: where CAP_SYS_RESOURCE is missing no pod would start without it.
# enable_unprivileged_ports: the official WordPress image listens on 80, here without any capability.
write_containerd_configuration() {
  cat <<TOML
version = 2
root = "$state/containerd"
state = "$runtime/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "$(containerd_socket)"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pause_image"
  restrict_oom_score_adj = true
  enable_unprivileged_ports = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$state/node/cni"
TOML
}

write_bridge_configuration() {
  cat <<JSON
{
  "cniVersion": "0.4.0",
  "name": "$network_namespace",
  "plugins": [
    {
      "type": "bridge", "bridge": "pods", "isGateway": true, "ipMasq": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": "$runtime/ipam",
        "ranges": [[{"subnet": "$pods_range"}]], "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
}

write_kubelet_configuration() {
  cat <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $api_address
healthzBindAddress: 127.0.0.1
readOnlyPort: 0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $state/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $state/pki/kubelet.crt
tlsPrivateKeyFile: $state/pki/kubelet.key
cgroupDriver: cgroupfs
cgroupRoot: /$network_namespace
cgroupsPerQOS: true
enforceNodeAllocatable: [pods]
clusterDomain: cluster.local
clusterDNS: [$api_address]
resolvConf: $state/node/resolv.conf
nodeStatusUpdateFrequency: 2s
# A pod whose last container has ended is taken off the API at a sync: a minute apart by default,
# which would hold up the deletion of every namespace.
syncFrequency: 3s
kubeAPIQPS: 50
kubeAPIBurst: 100
failSwapOn: false
# Images come from scripts/images, not from a registry that could give them again.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi}
volumePluginDir: $state/node/volume-plugins
YAML
}

write_proxy_configuration() {
  cat <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: 0.0.0.0
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
clientConnection: {kubeconfig: $state/pki/proxy.kubeconfig}
clusterCIDR: $pods_range
mode: iptables
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
}

# The kubelet wants its control group to be there, in every hierarchy.
make_control_group() {
  local hierarchy controller
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    for controller in cpuset cpu memory pids hugetlb; do
      echo "+$controller" 2>/dev/null >/sys/fs/cgroup/cgroup.subtree_control || true
    done
    mkdir -p "/sys/fs/cgroup/$network_namespace"
  else
    for hierarchy in /sys/fs/cgroup/*/; do
      mkdir -p "$hierarchy$network_namespace"
    done
  fi
}

remove_control_group() {
  local group
  for group in /sys/fs/cgroup/"$network_namespace" /sys/fs/cgroup/*/"$network_namespace"; do
    if [[ -d $group ]]; then
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    fi
  done
}

start_containerd() {
  start containerd "${in_node[@]}" containerd --config "$state/node/containerd.toml"
  await containerd 30 "containerd answers" containerd_client version
  stage "containerd working"
}

start_kubelet() {
  save_sysctls
  make_control_group
  start kubelet "${in_node[@]}" "$kubernetes_bin/kubelet" \
    --kubeconfig="$state/pki/kubelet.kubeconfig" --config="$state/node/kubelet.yaml" \
    --root-dir="$state/kubelet" --cert-dir="$state/pki" --hostname-override="$node_name" \
    --node-ip="$api_address" --container-runtime=remote \
    --container-runtime-endpoint="unix://$(containerd_socket)" \
    --pod-infra-container-image="$pause_image"
  start proxy "${in_node[@]}" "$kubernetes_bin/kube-proxy" --config="$state/node/proxy.yaml" \
    --hostname-override="$node_name"
  await kubelet 60 "the node is ready" node_ready
  stage "node ready"
}

node_ready() {
  kubectl_admin get node "$node_name" \
    -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -qx True
}

stop_node() {
  stop proxy
  stop kubelet
  stop_containers
  stop containerd
  stop_shims
  kill_control_group
  remove_pod_networks
  unmount_below "$state/kubelet"
  unmount_below "$runtime"
  # What the kubelet left of pods that are gone; with nothing mounted there it is only their files.
  rm -rf --one-file-system "$state/kubelet"
  remove_control_group
}

# Databases get a moment to close their files before they are killed.
stop_containers() {
  alive containerd || return 0
  signal_tasks SIGTERM
  wait_until 10 no_tasks_running || true
  signal_tasks SIGKILL
  wait_until 10 no_tasks_running || true
  local item
  for item in $(containerd_client tasks list --quiet); do
    containerd_client tasks delete --force "$item" >/dev/null 2>&1 || true
  done
  for item in $(containerd_client containers list --quiet); do
    containerd_client containers delete "$item" >/dev/null 2>&1 || true
  done
}

signal_tasks() {
  local task
  for task in $(running_tasks); do
    containerd_client tasks kill --signal "$1" "$task" >/dev/null 2>&1 || true
  done
}

running_tasks() { containerd_client tasks list | awk '$3 == "RUNNING" {print $1}'; }

no_tasks_running() { [[ -z $(running_tasks) ]]; }

# The shims outlive containerd by design; ours are those that name our socket.
stop_shims() {
  local folder words
  for folder in /proc/[0-9]*; do
    { mapfile -d '' -t words <"$folder/cmdline"; } 2>/dev/null || continue
    if [[ ${words[0]:-} == *containerd-shim* && " ${words[*]} " == *" $(containerd_socket) "* ]]; then
      kill -KILL "${folder#/proc/}" 2>/dev/null || true
    fi
  done
}

# Containers whose shim or whose containerd is gone still run; their control group tells them.
kill_control_group() {
  local group pid
  for group in /sys/fs/cgroup/"$network_namespace" /sys/fs/cgroup/*/"$network_namespace"; do
    [[ -d $group ]] || continue
    find "$group" -name cgroup.procs -exec cat {} + |
      while read -r pid; do kill -KILL "$pid" 2>/dev/null || true; done
  done
}

# Each pod's network namespace, as the network plugins noted it for the day they take it down.
remove_pod_networks() {
  local note sandbox
  for note in /var/lib/cni/results/"$network_namespace"-*-eth0; do
    [[ -f $note ]] || continue
    sandbox=$(grep -o '"sandbox":"[^"]*/cni-[^"]*"' "$note" | head -n 1 | grep -o 'cni-[^"]*' || true)
    if [[ -n $sandbox && -e /run/netns/$sandbox ]]; then
      ip netns delete "$sandbox"
    fi
    sandbox=${note#/var/lib/cni/results/"$network_namespace"-}
    rm -f "$note" "/var/lib/cni/results/cni-loopback-${sandbox%-eth0}-lo"
  done
}

# unmount_below FOLDER: the folder itself too, which the kubelet mounts onto itself.
unmount_below() {
  local target
  awk -v folder="$1" '$2 == folder || index($2, folder "/") == 1 {print $2}' /proc/mounts | sort -r |
    while read -r target; do umount --lazy "$target"; done
}
