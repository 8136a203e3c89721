# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with scripts/cluster
# The node's network: a namespace of its own, joined to the host by a pair of virtual interfaces.
# Several checkouts may have a node each on one machine; each holds a slot, from which its
# addresses follow: the host is 10.99.SLOT.1, the node 10.99.SLOT.2.

machine_state=/run/storeplane
slots_max=16
changed_sysctls=(
  vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops
  kernel.keys.root_maxkeys kernel.keys.root_maxbytes net.ipv4.ip_forward
)

# Sets slot, to the one this cluster holds or, with "claim", to the lowest free one.
find_slot() {
  local candidate
  slot=
  for ((candidate = 0; candidate < slots_max; candidate++)); do
    if [[ $(slot_owner "$candidate") == "$state" ]]; then
      slot=$candidate
      break
    fi
  done
  if [[ -z $slot && ${1:-} == claim ]]; then
    claim_slot
  fi
  [[ -n $slot ]] || return 1
  use_slot "$slot"
}

use_slot() {
  slot=$1
  network_namespace="storeplane-$slot"
  host_interface="storeplane$slot"
  host_address="10.99.$slot.1"
  api_address="10.99.$slot.2"
  runtime="$machine_state/$slot"
}

slot_owner() { cat "$machine_state/slot-$1" 2>/dev/null || true; }

claim_slot() {
  mkdir -p "$machine_state"
  exec {slot_lock}>"$machine_state/lock"
  flock "$slot_lock"
  local candidate owner
  for ((candidate = 0; candidate < slots_max; candidate++)); do
    owner=$(slot_owner "$candidate")
    if [[ -n $owner && ! -d $owner/run ]]; then
      note "slot $candidate belonged to $owner, which is gone: taking it over"
      use_slot "$candidate"
      remove_network
      owner=
      slot=
    fi
    if [[ -z $owner ]]; then
      slot=$candidate
      printf '%s\n' "$state" >"$machine_state/slot-$slot"
      break
    fi
  done
  exec {slot_lock}>&-
  [[ -n $slot ]] || fail "this machine has $slots_max nodes up already" \
    "Their state folders are in $machine_state/slot-*; take one down with scripts/cluster down."
}

release_slot() { rm -f "$machine_state/slot-$slot"; }

in_network() { nsenter --net="/run/netns/$network_namespace" "$@"; }

make_network() {
  mkdir -p "$runtime"
  [[ -e /run/netns/$network_namespace ]] || ip netns add "$network_namespace"
  if ! ip link show "$host_interface" >/dev/null 2>&1; then
    ip link add "$host_interface" type veth peer name node netns "$network_namespace"
  fi
  ip address replace "$host_address/30" dev "$host_interface"
  ip link set "$host_interface" up
  in_network ip link set lo up
  in_network ip address replace "$api_address/30" dev node
  in_network ip link set node up
  in_network ip route replace default via "$host_address"
  # A cloud's metadata is not for pods, and the kubelet would wait seconds for an answer from it.
  in_network ip route replace prohibit 169.254.0.0/16
  in_network sysctl -qw net.ipv4.ip_forward=1
  # Absent where the bridge module is not loaded yet; then the bridge plugin loads it.
  modprobe br_netfilter 2>/dev/null || true
  in_network sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || true
}

# With --egress pods reach what the host reaches: it forwards and hides the node's address.
egress_rules() {
  printf '%s\n' \
    "-t nat POSTROUTING -s $api_address/32 ! -o $host_interface -j MASQUERADE" \
    "-t filter FORWARD -i $host_interface -j ACCEPT" \
    "-t filter FORWARD -o $host_interface -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
}

# change_egress -A|-D: a rule that is (or is not) there already is left as it is.
change_egress() {
  local _ table chain rest
  egress_rules | while read -r _ table chain rest; do
    # shellcheck disable=SC2086 # a rule is several words
    if iptables -w -t "$table" -C "$chain" $rest 2>/dev/null; then
      [[ $1 == -D ]] && iptables -w -t "$table" -D "$chain" $rest
    elif [[ $1 == -A ]]; then
      iptables -w -t "$table" -A "$chain" $rest
    fi
    true
  done
}

allow_egress() {
  save_sysctls
  sysctl -qw net.ipv4.ip_forward=1
  change_egress -A
}

# The host's first name server that can be reached from outside its loopback.
outside_resolver() {
  { cat /run/systemd/resolve/resolv.conf /etc/resolv.conf 2>/dev/null || true; } |
    awk '$1 == "nameserver" && $2 !~ /^127\.|:/ {print $2; exit}'
}

remove_network() {
  change_egress -D
  ip link delete "$host_interface" 2>/dev/null || true
  if [[ -e /run/netns/$network_namespace ]]; then
    ip netns delete "$network_namespace"
  fi
  rm -rf --one-file-system "$runtime"
}

# The kubelet and --egress set kernel parameters of the whole machine. The first node up saves what was there,
# the last one down puts it back.
save_sysctls() {
  [[ -s $machine_state/sysctl.saved ]] || sysctl "${changed_sysctls[@]}" >"$machine_state/sysctl.saved"
}

restore_sysctls() {
  compgen -G "$machine_state/slot-*" >/dev/null && return
  [[ -s $machine_state/sysctl.saved ]] || return 0
  sysctl -q -p "$machine_state/sysctl.saved"
  rm -f "$machine_state/sysctl.saved"
}
