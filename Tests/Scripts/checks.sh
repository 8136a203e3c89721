# shellcheck shell=bash
# What the scripts' tests say and count with. scratch is a folder of theirs.
# shellcheck disable=SC2154

passed=0 failed=0

check() { # check DESCRIPTION COMMAND...
  local description=$1
  shift
  if "$@" >"$scratch/output" 2>&1; then
    passed=$((passed + 1))
    printf 'ok      %s\n' "$description"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s\n' "$description"
    tail -n 20 "$scratch/output" | cut -c1-200 | sed 's/^/        /'
  fi
}

# within SECONDS COMMAND...: it succeeds at some time before.
within() {
  local limit=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < limit)) || return 1
    sleep 0.1
  done
}

fails_with() { # fails_with STATUS COMMAND...
  local wanted=$1 status=0
  shift
  "$@" || status=$?
  [[ $status == "$wanted" ]]
}

# To the end of the input: a reader that leaves early would make the writer fail.
says() { # says TEXT COMMAND...
  local text=$1
  shift
  { "$@" 2>&1 || true; } | tee /dev/stderr | grep -F -- "$text" >/dev/null
}

# Prints the result, and fails when a check did.
summary() {
  printf '%d passed, %d failed\n' "$passed" "$failed"
  ((failed == 0))
}
