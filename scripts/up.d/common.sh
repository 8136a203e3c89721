# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with scripts/up and scripts/down
# Where an installation keeps what, and its lock.

state_path_max=80 # the socket of Postgres lies below it, whose path may have 107 characters

services=(audit config provisioner gateway)

# Sets state, absolute, and the folders in it.
locate_state() {
  find_state '' "$state_path_max"
  export STOREPLANE_STATE="$state"
  logs="$state/logs"
  # Until the lock is taken, a descriptor that can be closed as well.
  exec {state_lock}</dev/null
  # Where it really is: the user postgres may be unable to go through the state.
  postgres=$(readlink -m "$state/postgres")
}

# The state itself can be gone through: the user postgres has its data below it.
make_folders() {
  mkdir -p "${state%/*}"
  [[ -d $state ]] || mkdir -m 0711 "$state"
  local folder
  for folder in "$state/run" "$logs"; do
    [[ -d $folder ]] || mkdir -m 0700 "$folder"
  done
}

# Two at once would undo each other's work: the second waits for its turn.
lock_state() {
  while true; do
    make_folders
    exec {state_lock}>"$state/lock"
    if ! flock --nonblock "$state_lock"; then
      note "another scripts/up or scripts/down works on $state: waiting for it"
      flock --wait 1800 "$state_lock" || fail "it holds $state/lock since 1800 s"
    fi
    # Unless the other one has removed it all meanwhile, and the lock with it.
    [[ $state/lock -ef /dev/fd/$state_lock ]] && return
    exec {state_lock}>&-
  done
}

# setting SERVICE NAME: what a service is told, as it was started or would be.
setting() { sed -n "s/^$2=//p" "$state/run/$1.env"; }

url_of_gateway() {
  local address
  address=$(setting gateway LISTEN_ADDRESS)
  address=${address/#0.0.0.0:/127.0.0.1:}
  printf 'http://%s' "${address/#\[::\]:/127.0.0.1:}"
}

ready() { curl -fsS --max-time 5 "http://$(setting "$1" ADMIN_ADDRESS)/readyz"; }

login() { sed -n "s/^$1: //p" "$state/admin-login"; }
