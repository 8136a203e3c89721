#!/bin/bash
# Makes the database on the first start, from the official image's variables, then runs the server.
# Each variable may also be given as NAME_FILE, the path of a file with the value, or as MYSQL_*.
set -euo pipefail

data=/var/lib/mysql
# There while the data folder is being made: a start that finds it begins anew.
unfinished="$data/.unfinished"

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# setting NAME: sets the variable MARIADB_NAME from the first of its four forms that is given.
setting() {
  local form value='' file
  for form in "MARIADB_$1" "MYSQL_$1"; do
    file="${form}_FILE"
    if [[ -n ${!form:-} ]]; then
      value=${!form}
      break
    elif [[ -n ${!file:-} ]]; then
      [[ -r ${!file} ]] || fail "$file names a file that cannot be read: ${!file}"
      value=$(<"${!file}")
      break
    fi
  done
  [[ $value != *$'\n'* ]] || fail "MARIADB_$1 has a line break in it"
  printf -v "MARIADB_$1" '%s' "$value"
}

# A string or a name as SQL, with its quotes.
text() {
  local value=${1//\\/\\\\}
  printf "'%s'" "${value//\'/\\\'}"
}
# shellcheck disable=SC2016 # the backticks are SQL's
name() { printf '`%s`' "${1//\`/\`\`}"; }

check_settings() {
  local one
  for one in ROOT_PASSWORD ROOT_HOST DATABASE USER PASSWORD \
    ALLOW_EMPTY_ROOT_PASSWORD RANDOM_ROOT_PASSWORD; do
    setting "$one"
  done
  if [[ -n $MARIADB_RANDOM_ROOT_PASSWORD ]]; then
    MARIADB_ROOT_PASSWORD=$(openssl rand -hex 24)
  elif [[ -z $MARIADB_ROOT_PASSWORD && -z $MARIADB_ALLOW_EMPTY_ROOT_PASSWORD ]]; then
    fail "the database has no root password: set MARIADB_ROOT_PASSWORD," \
      "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD or MARIADB_RANDOM_ROOT_PASSWORD"
  fi
  [[ -z $MARIADB_USER || -n $MARIADB_PASSWORD ]] || fail "MARIADB_USER needs MARIADB_PASSWORD"
}

# The statements of the first start. They are read from standard input, never seen as arguments.
statements() {
  local root host health
  root=$(text "$MARIADB_ROOT_PASSWORD")
  host=$(text "${MARIADB_ROOT_HOST:-%}")
  health=$(text "$health_password")
  # Debian's installation adds accounts of the machine's name, without a password.
  printf '%s;\n' "DELETE FROM mysql.global_priv WHERE user = '' OR host <> 'localhost'" \
    "DELETE FROM mysql.proxies_priv WHERE host <> 'localhost'"
  # The server that reads this has no privileges loaded until told.
  printf '%s;\n' "FLUSH PRIVILEGES" \
    "ALTER USER 'root'@'localhost' IDENTIFIED BY $root" \
    "CREATE USER 'healthcheck'@'localhost' IDENTIFIED BY $health" \
    "CREATE USER 'healthcheck'@'127.0.0.1' IDENTIFIED BY $health"
  if [[ ${MARIADB_ROOT_HOST:-%} != localhost ]]; then
    printf '%s;\n' "CREATE USER 'root'@$host IDENTIFIED BY $root" \
      "GRANT ALL ON *.* TO 'root'@$host WITH GRANT OPTION"
  fi
  if [[ -n $MARIADB_DATABASE ]]; then
    printf '%s;\n' "CREATE DATABASE $(name "$MARIADB_DATABASE")"
  fi
  if [[ -n $MARIADB_USER ]]; then
    printf '%s;\n' "CREATE USER $(text "$MARIADB_USER")@'%' IDENTIFIED BY $(text "$MARIADB_PASSWORD")"
    if [[ -n $MARIADB_DATABASE ]]; then
      # An underscore in a database's name is a wildcard in a grant.
      printf '%s;\n' "GRANT ALL ON $(name "${MARIADB_DATABASE//_/\\_}").* TO $(text "$MARIADB_USER")@'%'"
    fi
  fi
}

make_database() {
  check_settings
  printf 'making the database in %s\n' "$data"
  touch "$unfinished"
  find "$data" -mindepth 1 -maxdepth 1 ! -name lost+found ! -path "$unfinished" \
    -exec rm -rf {} +
  mariadb-install-db --datadir="$data" --skip-test-db --skip-name-resolve \
    --auth-root-authentication-method=normal >/dev/null
  local health_password
  health_password=$(openssl rand -hex 24)
  (
    umask 077
    printf '[client]\nuser = healthcheck\npassword = %s\n' "$health_password" \
      >"$data/.my-healthcheck.cnf"
  )
  statements | mariadbd --bootstrap --datadir="$data"
  rm "$unfinished"
}

# Started as root, the work is done as the server's own user.
become_mysql() {
  ((EUID == 0)) || return 0
  chown mysql:mysql "$data"
  exec setpriv --reuid=mysql --regid=mysql --init-groups -- "$0" "$@"
}

if [[ ${1:-} == -* ]]; then
  set -- mariadbd "$@"
fi
if [[ ${1:-} == mariadbd || ${1:-} == mysqld ]]; then
  become_mysql "$@"
  if [[ ! -d $data/mysql || -e $unfinished ]]; then
    make_database
  fi
  # The server itself has no need of them.
  unset "${!MARIADB_@}" "${!MYSQL_@}"
fi
exec "$@"
