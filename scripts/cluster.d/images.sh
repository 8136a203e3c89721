# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with scripts/cluster and scripts/images
# Container images: written as archives into the cache, imported into a node's containerd.

images_cache="$cache/images"

# archive_image IMAGE LAYER-TAR KEY SETTINGS-JSON: the layer becomes the cached archive of the image.
archive_image() {
  local image=$1 layer=$2 archive digest
  archive=$(image_archive "$image" "$3")
  digest=$(python3 "$pieces/oci_image.py" "$image" "$layer" "$archive.new" "$4")
  printf '%s\n' "$digest" >"$archive.digest"
  mv "$archive.new" "$archive"
}

# build_image NAME KEY: makes the root folder by the recipe that is loaded, then the archive. A
# recipe sets image, packages, accounts (lines of /etc/passwd) and settings (of the image, JSON), and
# says in finish_root what is done when the packages and its files are there.
build_image() {
  local recipe=$1 key=$2 log="$images_cache/$1.log" root status
  stage "building $image from Debian's packages (1 to 2 minutes); log: $log"
  root=$(mktemp -d "$images_cache/root.XXXXXX")
  # Not as a part of a list: there nothing that fails would end the subshell, whatever it sets.
  set +e
  (
    set -e
    renice -n 10 -p "$BASHPID" >/dev/null
    install_root "$root"
    cp -R --no-preserve=ownership "$recipes/$recipe/files/." "$root/"
    finish_root "$root"
    tar --numeric-owner --sort=name --one-file-system -C "$root" -cf "$root.tar" .
  ) >"$log" 2>&1
  status=$?
  set -e
  if ((status)); then
    tail -n 15 "$log" >&2
    rm -rf --one-file-system "$root" "$root.tar"
    fail "$image could not be built" "See $log."
  fi
  archive_image "$image" "$root.tar" "$key" "$settings"
  rm -rf --one-file-system "$root" "$root.tar"
}

# image_archive IMAGE KEY: the archive's path; localhost/storeplane/mariadb:10.11 is mariadb-KEY.tar.
image_archive() {
  local short=${1##*/}
  printf '%s/%s-%s.tar' "$images_cache" "${short%:*}" "$2"
}

# import_image IMAGE ARCHIVE: nothing if containerd has just this one.
import_image() {
  local image=$1 archive=$2
  if containerd_client images list "name==$image" | grep -qF "$(<"$archive.digest")"; then
    return
  fi
  containerd_client images import "$archive" >/dev/null
  stage "imported $image"
}

# The two images that the cluster needs for itself: a pod's holding process and the ingress proxy.
ensure_cluster_images() {
  mkdir -p "$images_cache"
  local pause_key proxy_key
  pause_key=$(fingerprint "$pieces/pause.c" "$pieces/oci_image.py")
  proxy_key=$(fingerprint /usr/sbin/haproxy "$pieces/oci_image.py")
  pause_archive=$(image_archive "$pause_image" "$pause_key")
  ingress_archive=$(image_archive "$ingress_image" "$proxy_key")
  [[ -s $pause_archive ]] || build_pause_image "$pause_key"
  [[ -s $ingress_archive ]] || build_ingress_image "$proxy_key"
}

build_pause_image() {
  local root
  root=$(mktemp -d)
  gcc -Os -s -static -Wall -Wextra -Werror -o "$root/pause" "$pieces/pause.c"
  tar_folder "$root" "$root.tar"
  archive_image "$pause_image" "$root.tar" "$1" '{"Entrypoint": ["/pause"], "User": "65535:65535"}'
  rm -rf "$root" "$root.tar"
}

# The host's HAProxy with the libraries it loads: an image of 15 MB without a distribution in it.
build_ingress_image() {
  local root
  root=$(mktemp -d)
  mkdir -m 1777 "$root/tmp"
  {
    printf '%s\n' /usr/sbin/haproxy
    ldd /usr/sbin/haproxy | grep -o '/[^ ]*'
  } | while read -r file; do
    install -D "$(readlink -f "$file")" "$root/${file#/}"
  done
  tar_folder "$root" "$root.tar"
  archive_image "$ingress_image" "$root.tar" "$1" \
    '{"Entrypoint": ["/usr/sbin/haproxy"], "User": "65535:65535"}'
  rm -rf "$root" "$root.tar"
}

tar_folder() {
  chmod 755 "$1"
  tar --numeric-owner --owner=0 --group=0 --mtime=@0 --sort=name -C "$1" -cf "$2" .
}
