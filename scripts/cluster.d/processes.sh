# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with those who read this file
# Processes that outlive the script. state is the folder of their pid files (state/run), logs that of
# their output, state_lock the descriptor that they must not hold on to. A pid file holds
# "pid start-time", so that a process that was given a dead one's number is never taken for it, nor
# killed.

# The start time of a process in clock ticks since boot (field 22 of its stat; the name before it
# may hold spaces); nothing for a zombie or where there is no such process.
process_start() {
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  local fields
  read -ra fields <<<"${stat##*) }"
  [[ ${fields[0]} != Z ]] && printf '%s' "${fields[19]}"
}

# Prints the pid of a running process of this state; fails when it does not run.
process_id() {
  local pid started
  [[ -f $state/run/$1.pid ]] && read -r pid started <"$state/run/$1.pid" || return 1
  [[ $(process_start "$pid") == "$started" ]] && printf '%s' "$pid"
}

alive() { process_id "$1" >/dev/null; }

# start NAME COMMAND...: in the background, its output in the log folder; nothing if it runs.
start() {
  local name=$1
  shift
  alive "$name" && return
  local log="$logs/$name.log"
  [[ -f $log ]] && mv "$log" "$log.previous"
  setsid "$@" >"$log" 2>&1 </dev/null {state_lock}>&- &
  local pid=$!
  printf '%s %s\n' "$pid" "$(process_start "$pid")" >"$state/run/$name.pid"
}

# await NAME SECONDS DESCRIPTION COMMAND...: until the command succeeds; an early end of the process
# or the end of the time is an error that shows the log's last lines.
await() {
  local name=$1 limit=$((SECONDS + $2)) seconds=$2 description=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    if ! alive "$name"; then
      tail -n 15 "$logs/$name.log" >&2
      fail "$name ended before $description" "Its log: $logs/$name.log"
    elif ((SECONDS >= limit)); then
      tail -n 15 "$logs/$name.log" >&2
      fail "not after $seconds s: $description" "The log of $name: $logs/$name.log"
    fi
    sleep 0.1
  done
}

# stop NAME [SECONDS]: asks, then after the seconds (5 unless said) kills.
stop() {
  local name=$1 seconds=${2:-5} pid
  if pid=$(process_id "$name"); then
    kill "$pid" 2>/dev/null || true
    if ! wait_until "$seconds" process_gone "$name"; then
      kill -KILL "$pid" 2>/dev/null || true
      wait_until 5 process_gone "$name" || fail "$name (pid $pid) does not end, even when killed"
    fi
  fi
  rm -f "$state/run/$name.pid"
}

process_gone() { ! alive "$1"; }
