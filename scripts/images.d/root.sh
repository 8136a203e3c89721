# shellcheck shell=bash disable=SC2154 # a recipe sets packages and accounts
# The root folder of an image, before what its recipe adds: Debian's essential packages and the
# recipe's. A change here, as in a recipe, makes the images anew.

# Documentation, translations and apt itself are of no use in a container.
install_root() {
  local root=$1 list suite
  list=$(IFS=,; printf '%s' "${packages[*]}")
  # shellcheck source=/dev/null
  suite=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:?}")
  local options=(--variant=essential --mode=root --format=directory --include="$list")
  local excluded
  for excluded in doc man info locale lintian; do
    options+=(--dpkgopt="path-exclude=/usr/share/$excluded/*")
  done
  # How this machine reaches Debian (a proxy, a mirror's clock) holds for the image's packages too.
  while read -r setting; do
    options+=(--aptopt="$setting")
  done < <(apt-config dump | grep -E '^Acquire::(Check-|http|https|Retries)' || true)
  # shellcheck disable=SC2016 # $1 is mmdebstrap's to fill in
  [[ -z ${accounts:-} ]] ||
    options+=(--essential-hook="printf '%s\n' '${accounts}' >>\"\$1/etc/passwd\"")
  source_lines | sed 's/^deb-src/deb/' | mmdebstrap "${options[@]}" "$suite" "$root"
  rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/* "$root"/etc/apt/apt.conf.d/*mmdebstrap
}
