# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with scripts/cluster
# etcd, the API server and the controller manager.

services_range=10.96.0.0/16
services_first_address=10.96.0.1
pods_range=10.244.0.0/24

kubectl_admin() { kubectl --kubeconfig="$state/kubeconfig" "$@"; }

await_api_server() {
  await apiserver 90 "the API server is ready" kubectl_admin get --raw=/readyz
  stage "API server ready at https://$api_address:$api_port"
}

await_controllers() {
  await controller-manager 60 "the controllers made the default service account" \
    kubectl_admin --namespace default get serviceaccount default
  stage "controller manager working"
}

# The data is a developer's or a test's: no fsync, which makes every write ten times faster.
start_etcd() {
  local clients="https://127.0.0.1:$((api_port + 1))" peers="https://127.0.0.1:$((api_port + 2))"
  start etcd "${in_node[@]}" etcd --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
    --name "$name" --listen-client-urls "$clients" --advertise-client-urls "$clients" \
    --listen-peer-urls "$peers" --initial-advertise-peer-urls "$peers" \
    --initial-cluster "$name=$peers" \
    --cert-file "$state/pki/etcd.crt" --key-file "$state/pki/etcd.key" \
    --client-cert-auth --trusted-ca-file "$state/pki/ca.crt" \
    --peer-cert-file "$state/pki/etcd.crt" --peer-key-file "$state/pki/etcd.key" \
    --peer-client-cert-auth --peer-trusted-ca-file "$state/pki/ca.crt"
}

start_api_server() {
  local pki="$state/pki"
  # shellcheck disable=SC2054 # the comma is the flag's own
  local flags=(
    --etcd-servers="https://127.0.0.1:$((api_port + 1))" --etcd-cafile="$pki/ca.crt"
    --etcd-certfile="$pki/etcd-client.crt" --etcd-keyfile="$pki/etcd-client.key"
    --bind-address="$api_address" --advertise-address="$api_address" --secure-port="$api_port"
    --insecure-port=0 --tls-cert-file="$pki/apiserver.crt"
    --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt"
    --service-account-issuer=https://kubernetes.default.svc.cluster.local
    --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key"
    --service-cluster-ip-range="$services_range" --authorization-mode=Node,RBAC
    --enable-admission-plugins=NodeRestriction --allow-privileged=true --profiling=false
    --kubelet-client-certificate="$pki/kubelet-client.crt"
    --kubelet-client-key="$pki/kubelet-client.key" --kubelet-certificate-authority="$pki/ca.crt"
    --kubelet-preferred-address-types=InternalIP
    --requestheader-client-ca-file="$pki/front-ca.crt"
    --proxy-client-cert-file="$pki/front-client.crt"
    --proxy-client-key-file="$pki/front-client.key"
    --requestheader-allowed-names=front-proxy-client
    --requestheader-extra-headers-prefix=X-Remote-Extra-
    --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User
  )
  # A loopback address may not be an endpoint of the Service "kubernetes".
  [[ $mode == node ]] || flags+=(--endpoint-reconciler-type=none)
  start apiserver "${in_node[@]}" "$kubernetes_bin/kube-apiserver" "${flags[@]}"
}

start_controller_manager() {
  local pki="$state/pki" kubeconfig="$state/pki/controller-manager.kubeconfig"
  # No secure port: nobody reads its metrics, and several control planes share the loopback.
  local flags=(
    --kubeconfig="$kubeconfig" --authentication-kubeconfig="$kubeconfig"
    --authorization-kubeconfig="$kubeconfig" --port=0 --secure-port=0 --leader-elect=false
    --kube-api-qps=100 --kube-api-burst=200 --pvclaimbinder-sync-period=1s
    --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt"
    --use-service-account-credentials=true --cluster-signing-cert-file="$pki/ca.crt"
    --cluster-signing-key-file="$pki/ca.key"
  )
  start controller-manager "${in_node[@]}" "$kubernetes_bin/kube-controller-manager" "${flags[@]}"
}

start_scheduler() {
  local kubeconfig="$state/pki/scheduler.kubeconfig"
  start scheduler "${in_node[@]}" "$kubernetes_bin/kube-scheduler" --kubeconfig="$kubeconfig" \
    --authentication-kubeconfig="$kubeconfig" --authorization-kubeconfig="$kubeconfig" \
    --port=0 --secure-port=0 --leader-elect=false
}

stop_control_plane() {
  stop scheduler
  stop controller-manager
  stop apiserver 10
  stop etcd
}
