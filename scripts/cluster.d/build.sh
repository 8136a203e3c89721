# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with scripts/cluster
# Kubernetes from Debian's source package: five programs, built once and kept in the user's cache.

kubernetes_release=1.20.2
kubernetes_patches=("$pieces"/kubernetes-*.patch)
kubernetes_control_plane=(kube-apiserver kube-controller-manager)
kubernetes_node=(kube-scheduler kubelet kube-proxy)

# Sets kubernetes_bin, the folder of the programs, and builds those that are not there yet.
# ensure_kubernetes PROGRAM...
ensure_kubernetes() {
  local version
  version=$(kubernetes_source_version)
  kubernetes_bin="$cache/kubernetes/$version-$(fingerprint "${kubernetes_patches[@]}")/bin"
  mkdir -p "$kubernetes_bin"
  local missing
  mapfile -t missing < <(missing_programs "$@")
  if ((${#missing[@]} == 0)); then
    stage "Kubernetes $version: built already ($kubernetes_bin)"
    return
  fi
  # Two builds at once would fight over the same tree: the second waits, then finds it all done.
  exec {build_lock}>"$cache/kubernetes/lock"
  flock "$build_lock"
  mapfile -t missing < <(missing_programs "$@")
  ((${#missing[@]} == 0)) || build_kubernetes "$version" "${missing[@]}"
  exec {build_lock}>&-
}

missing_programs() {
  local program
  for program in "$@"; do
    [[ -x $kubernetes_bin/$program ]] || printf '%s\n' "$program"
  done
}

# The version apt would fetch; without package lists, that of the newest build in the cache.
kubernetes_source_version() {
  local version
  version=$(apt-cache policy kubernetes-client 2>/dev/null | awk '/Candidate:/ {print $2}')
  if [[ -z $version || $version == "(none)" ]]; then
    local newest
    newest=$(find "$cache/kubernetes" -mindepth 1 -maxdepth 1 -type d \
      -name "*-$(fingerprint "${kubernetes_patches[@]}")" -printf '%T@ %f\n' 2>/dev/null |
      sort -rn | head -n 1)
    version=${newest#* }
    version=${version%-*}
  fi
  if [[ -z $version ]]; then
    as_root apt-get update -qq >&2
    version=$(apt-cache policy kubernetes-client | awk '/Candidate:/ {print $2}')
  fi
  [[ -n $version ]] || fail "apt knows no package kubernetes-client" \
    "This script needs Debian 12 (bookworm) with its main component enabled."
  printf '%s' "$version"
}

build_kubernetes() {
  local version=$1
  shift
  install_packages "build Kubernetes" dpkg-dev patch golang-1.19-go
  local tree
  tree="$cache/kubernetes/build-$version-$(fingerprint "${kubernetes_patches[@]}")"
  mkdir -p "$tree"
  stage "building Kubernetes $version ($*): 5 to 10 minutes, once; log: $tree/log"
  (
    # Others use the machine too.
    renice -n 10 -p "$BASHPID" >/dev/null
    cd "$tree" || exit
    unpack_kubernetes "$version" "$tree"
    export GOROOT=/usr/lib/go-1.19 GOPATH="$tree/gopath" GOCACHE="$tree/gocache" CGO_ENABLED=0
    export GOFLAGS='' GOPROXY=off GO111MODULE=off PATH="/usr/lib/go-1.19/bin:$PATH"
    cd "$tree/gopath/src/k8s.io/kubernetes" || exit
    generate_openapi "$tree"
    local program
    for program in "$@"; do
      compile_program "$program" "$tree"
      install -m 755 "$tree/bin/$program" "$kubernetes_bin/$program"
    done
  )
  # All five built: the tree and Go's cache (2 GB) have done their work.
  local program
  for program in "${kubernetes_control_plane[@]}" "${kubernetes_node[@]}"; do
    [[ -x $kubernetes_bin/$program ]] || return 0
  done
  chmod -R u+w "$tree"
  rm -rf "$tree"
}

unpack_kubernetes() {
  local version=$1 tree=$2
  [[ -d $tree/src ]] && return
  enable_source_packages
  stage "  fetching the source package"
  apt-get source --download-only "kubernetes=$version" >>"$tree/log" 2>&1 ||
    fail "apt-get source could not fetch kubernetes=$version" "See $tree/log."
  rm -rf "$tree/unpacked"
  dpkg-source -x "$tree"/kubernetes_*.dsc "$tree/unpacked" >>"$tree/log" 2>&1
  local patch
  for patch in "${kubernetes_patches[@]}"; do
    patch -p1 -d "$tree/unpacked" <"$patch" >>"$tree/log"
  done
  mkdir -p "$tree/gopath/src/k8s.io"
  ln -sfn "$tree/src" "$tree/gopath/src/k8s.io/kubernetes"
  mv "$tree/unpacked" "$tree/src"
}

# Debian's package leaves the OpenAPI definitions to be generated at build time.
generate_openapi() {
  local tree=$1
  local generated=pkg/generated/openapi/zz_generated.openapi.go
  [[ -s $generated && -e $tree/openapi.done ]] && return
  stage "  generating the OpenAPI definitions"
  go build -p 2 -o "$tree/openapi-gen" \
    k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen >>"$tree/log" 2>&1
  local packages
  packages=$(grep -rl --include='*.go' '+k8s:openapi-gen=' pkg staging/src/k8s.io cmd |
    grep -vE 'src/k8s.io/(code-generator|sample-apiserver)/|_test\.go$|/testdata/|/zz_gen' |
    xargs -n1 dirname | sed -e 's#^staging/src/#vendor/#' -e 's#^#k8s.io/kubernetes/#' |
    LC_ALL=C sort -u | paste -sd,)
  "$tree/openapi-gen" --logtostderr -i "$packages" -p k8s.io/kubernetes/pkg/generated/openapi \
    -O zz_generated.openapi -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt \
    -r "$tree/openapi.violations" >>"$tree/log" 2>&1 ||
    fail "the OpenAPI generator failed" "See $tree/log."
  touch "$tree/openapi.done"
}

compile_program() {
  local program=$1 tree=$2 flags="-s -w" package
  stage "  compiling $program"
  for package in component-base/version client-go/pkg/version; do
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$package.gitVersion=v$kubernetes_release"
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$package.gitMajor=1"
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$package.gitMinor=20"
  done
  mkdir -p "$tree/bin"
  go build -p 2 -tags providerless,dockerless,nokmem -trimpath -ldflags "$flags" \
    -o "$tree/bin/" "k8s.io/kubernetes/cmd/$program" >>"$tree/log" 2>&1 ||
    fail "$program did not compile" "See $tree/log."
}
