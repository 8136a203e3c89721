# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with scripts/cluster
# Debian packages: what is missing is installed, with its reason, and without starting its daemons.

apt_sources=/etc/apt/sources.list.d/storeplane-sources.list

missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
      printf '%s\n' "$package"
  done
}

# install_packages REASON PACKAGE...: does nothing, at once, when all are there.
install_packages() {
  local reason=$1 missing
  shift
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  stage "installing Debian packages to $reason:"
  note "${missing[*]}"
  ((EUID == 0)) || note "(with sudo, since you are not root)"
  local log
  log=$(mktemp)
  # A package such as etcd-server would start its daemon on the host; the cluster runs its own.
  local policy=/usr/sbin/policy-rc.d added=false
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    added=true
  fi
  local status=0
  apt_install "${missing[@]}" >"$log" 2>&1 || status=$?
  if $added; then as_root rm -f "$policy"; fi
  if ((status)); then
    tail -n 20 "$log" >&2
    fail "apt-get could not install: ${missing[*]}" "Its output is above and in $log."
  fi
  rm -f "$log"
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
    # The package lists of a fresh machine are often absent or old.
    { as_root apt-get update &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; }
}

# Makes `apt-get source` work: adds source lines in a file of our own unless some are there.
enable_source_packages() {
  # shellcheck disable=SC2016 # the names are apt's to fill in
  if ! apt-get indextargets --format '$(CREATED_BY) $(ORIGIN)' | grep -qx 'Sources Debian'; then
    stage "adding Debian's source packages ($apt_sources): Kubernetes is built from them"
    source_lines | as_root tee "$apt_sources" >/dev/null
  fi
  as_root apt-get update -qq
}

# One deb-src line for each Debian archive that the machine has binary packages of. apt wants the
# same key named for the same archive everywhere, so it is taken from the entry that is there.
source_lines() {
  local archive release entry key
  # shellcheck disable=SC2016 # the names are apt's to fill in
  apt-get indextargets \
    --format '$(CREATED_BY)|$(ORIGIN)|$(COMPONENT)|$(REPO_URI)|$(RELEASE)|$(SOURCESENTRY)' |
    awk -F'|' '$1 == "Packages" && $2 == "Debian" && $3 == "main"' |
    while IFS='|' read -r _ _ _ archive release entry; do
      key=$(entry_key "${entry%:*}" "${entry##*:}")
      printf 'deb-src %s%s %s main\n' "${key:+[signed-by=$key] }" "$archive" "$release"
    done | sort -u
}

# entry_key FILE NUMBER: the key of a sources entry (NUMBER is a stanza's or a line's), or nothing.
entry_key() {
  case $1 in
    *.sources)
      awk -v RS= -v number="$2" 'NR == number' "$1" | awk '/^Signed-By:/ {print $2; exit}'
      ;;
    *) sed -n "${2}s/.*signed-by=\([^] ]*\).*/\1/p" "$1" ;;
  esac
}
