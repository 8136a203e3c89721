# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with scripts/cluster
# What makes the node useful: names for Services, volumes on demand, a way in from the host.

ingress_user=65535

start_addons() {
  local folder="$runtime/ingress"
  mkdir -p "$folder"
  [[ -e $folder/haproxy.cfg ]] || start_ingress_configuration "$folder"
  chown -R "$ingress_user:$ingress_user" "$folder"
  sed -e "s#@INGRESS_IMAGE@#$ingress_image#" -e "s#@INGRESS_FOLDER@#$folder#" \
    "$pieces/addons.yaml" | kubectl_admin apply -f - >"$state/log/addons.log" 2>&1 ||
    fail "the add-ons' objects were refused" "See $state/log/addons.log."
  start_dns
  start volumes python3 "$pieces/volumes.py" --kubeconfig "$state/pki/volumes.kubeconfig" \
    --folder "$state/volumes" --node "$node_name"
  start ingress python3 "$pieces/ingress.py" --kubeconfig "$state/pki/ingress.kubeconfig" \
    --folder "$folder" --address 127.0.0.1
  start_relay
  await ingress 60 "the ingress answers at http://127.0.0.1:$ingress_port" ingress_answers
  alive dns || fail "the DNS server ended" "Its log: $state/log/dns.log"
  alive volumes || fail "the volume provisioner ended" "Its log: $state/log/volumes.log"
  stage "DNS, volumes and ingress working"
}

# The proxy's pod needs a file to start with, whichever of the two is first.
start_ingress_configuration() {
  python3 "$pieces/ingress.py" --kubeconfig "$state/pki/ingress.kubeconfig" --folder "$1" \
    --address 127.0.0.1 --write-empty
}

start_dns() {
  local options=(--kubeconfig "$state/pki/dns.kubeconfig" --address "$api_address")
  local resolver
  if [[ $egress == yes ]]; then
    resolver=$(outside_resolver)
    options+=(${resolver:+--forward "$resolver"})
  fi
  start dns "${in_node[@]}" python3 "$pieces/dns.py" "${options[@]}"
}

# The node's port 80 is reached from this machine only through the pair of interfaces; the relay
# offers it on the loopback, where browsers and curl take NAME.localhost to be.
start_relay() {
  cat >"$state/node/relay.cfg" <<CFG
global
  maxconn 2000
  nbthread 1
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
listen ingress
  bind 127.0.0.1:$ingress_port
  server node $api_address:80
CFG
  start relay haproxy -db -f "$state/node/relay.cfg"
}

# Any answer is the proxy's own, or comes through it; 000 is curl's word for none.
ingress_answers() {
  [[ $(curl --silent --noproxy '*' --max-time 2 --output /dev/null --write-out '%{http_code}' \
    "http://127.0.0.1:$ingress_port/") != 000 ]]
}

stop_addons() {
  stop relay
  stop ingress
  stop volumes
  stop dns
}
