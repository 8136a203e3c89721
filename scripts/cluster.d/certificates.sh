# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with scripts/cluster
# Certificates and kubeconfigs. The authorities and the service accounts' key are made once and
# kept with the data they signed; the leaves are renewed whenever the control plane is started.

authority_days=3650
leaf_days=365

# make_certificates: needs state, api_address, api_port, node_name; writes below $state/pki.
make_certificates() {
  mkdir -p "$state/pki"
  chmod 700 "$state/pki"
  (
    umask 077
    cd "$state/pki" || exit
    make_authority ca kubernetes-ca
    make_authority front-ca front-proxy-ca
    [[ -s sa.key ]] || openssl genrsa -out sa.key 2048 2>/dev/null
    openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null

    local api_names="DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
    api_names+=",DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1"
    api_names+=",IP:$services_first_address"
    [[ $api_address == 127.0.0.1 ]] || api_names+=",IP:$api_address"
    make_leaf apiserver ca /CN=kube-apiserver serverAuth "$api_names"
    make_leaf etcd ca /CN=etcd serverAuth,clientAuth DNS:localhost,IP:127.0.0.1
    make_leaf etcd-client ca /CN=kube-apiserver-etcd-client clientAuth
    make_leaf front-client front-ca /CN=front-proxy-client clientAuth
    make_leaf kubelet-client ca /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth

    make_client admin /O=system:masters/CN=kubernetes-admin
    make_client controller-manager /CN=system:kube-controller-manager
    if [[ $mode == node ]]; then
      make_leaf kubelet ca "/O=system:nodes/CN=system:node:$node_name" serverAuth,clientAuth \
        "DNS:$node_name,IP:$api_address,IP:127.0.0.1"
      write_kubeconfig kubelet
      make_client scheduler /CN=system:kube-scheduler
      make_client proxy /CN=system:kube-proxy
      make_client dns /CN=storeplane:dns
      make_client volumes /CN=storeplane:volumes
      make_client ingress /CN=storeplane:ingress
    fi
    install -m 600 admin.kubeconfig "$state/kubeconfig"
  )
}

make_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# make_authority NAME COMMON-NAME
make_authority() {
  [[ -s $1.crt ]] && return
  make_key "$1"
  openssl req -x509 -new -key "$1.key" -subj "/CN=$2" -days "$authority_days" -out "$1.crt"
}

# make_leaf NAME AUTHORITY SUBJECT USAGES [ALTERNATIVE-NAMES]
make_leaf() {
  local extensions="keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=$4"
  [[ -z ${5:-} ]] || extensions+=$'\n'"subjectAltName=$5"
  make_key "$1"
  openssl req -new -key "$1.key" -subj "$3" |
    openssl x509 -req -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days "$leaf_days" \
      -extfile <(printf '%s\n' "$extensions") -out "$1.crt" 2>/dev/null
}

make_client() {
  make_leaf "$1" ca "$2" clientAuth
  write_kubeconfig "$1"
}

write_kubeconfig() {
  cat >"$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters:
  - name: storeplane
    cluster:
      server: https://$api_address:$api_port
      certificate-authority-data: $(base64 -w0 ca.crt)
users:
  - name: $1
    user:
      client-certificate-data: $(base64 -w0 "$1.crt")
      client-key-data: $(base64 -w0 "$1.key")
contexts:
  - name: storeplane-$name
    context:
      cluster: storeplane
      user: $1
current-context: storeplane-$name
YAML
}
