# shellcheck shell=bash disable=SC2034 # read by scripts/images
# MariaDB with its client, running as the user of the official image.

image=localhost/storeplane/mariadb:10.11
packages=(mariadb-server-core mariadb-client openssl)
accounts='mysql:x:999:999::/var/lib/mysql:/usr/sbin/nologin'
settings='{
  "Entrypoint": ["docker-entrypoint.sh"],
  "Cmd": ["mariadbd"],
  "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
  "ExposedPorts": {"3306/tcp": {}},
  "Volumes": {"/var/lib/mysql": {}}
}'

finish_root() {
  local root=$1
  printf 'mysql:x:999:\n' >>"$root/etc/group"
  rm -rf "$root/var/lib/mysql"
  # Whatever user a security context names may write its socket here.
  install -d -m 1777 "$root/run/mysqld"
  install -d -m 777 -o 999 -g 999 "$root/var/lib/mysql"
}
