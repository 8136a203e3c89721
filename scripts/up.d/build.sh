# shellcheck shell=bash disable=SC2154 # variables are shared with scripts/up
# The programs: built when something they are made of has changed.

programs=(storeplane-setup "${services[@]}" helm-worker storectl)

build_programs() {
  binaries="$project/.build/$build"
  local stamp="$binaries/storeplane.built" log="$state/logs/build.log" program
  if is_built "$stamp"; then
    stage "programs: built already ($binaries)"
    return
  fi
  command -v swift >/dev/null ||
    fail "there is no Swift compiler" "Install Swift 6.3 or newer: https://www.swift.org/install"
  stage "building the programs ($build; the first time takes minutes); log: $log"
  mkdir -p "$binaries"
  # From before the build, so that a file that changes meanwhile counts as changed.
  local began
  began=$(date +@%s.%N)
  : >"$log"
  for program in "${programs[@]}"; do
    note "$program"
    (cd "$project" && exec swift build --configuration "$build" --product "$program") \
      >>"$log" 2>&1 {state_lock}>&- || {
      grep -E 'error:' "$log" | sort -u | tail -n 15 >&2 || tail -n 15 "$log" >&2
      fail "$program could not be built" "The whole output: $log"
    }
  done
  touch --date="$began" "$stamp"
}

is_built() {
  local stamp=$1 program
  [[ -f $stamp ]] || return 1
  for program in "${programs[@]}"; do [[ -x $binaries/$program ]] || return 1; done
  [[ -z $(find "$project/Sources" "$project/Package.swift" -newer "$stamp" -print -quit) ]]
}
