#!/bin/bash
# Puts WordPress and its configuration into /var/www/html where they are not there yet, then runs
# the command. Takes the official image's variables; see wp-config-docker.php.
set -euo pipefail

source=/usr/src/wordpress
target=/var/www/html
owner=$(id -u):$(id -g)
((EUID != 0)) || owner=www-data:www-data

# index.php goes last: until it is there, the copy is not complete and is made again.
copy_wordpress() {
  printf 'copying WordPress to %s\n' "$target"
  # Without the top folder itself: a volume's belongs to somebody else, and its mode is not ours.
  find "$source" -mindepth 1 -maxdepth 1 ! -name index.php ! -name wp-config-docker.php \
    -printf '%P\0' |
    tar -C "$source" --owner="${owner%:*}" --group="${owner#*:}" --null --files-from=- -cf - |
    tar -C "$target" --no-overwrite-dir --no-same-permissions -xf -
  install -m 644 "$source/index.php" "$target/.index.php.new"
  mv "$target/.index.php.new" "$target/index.php"
}

# Each key that no variable gives is a random one of this installation.
write_configuration() {
  local line new="$target/.wp-config.php.new"
  (
    umask 077
    while IFS= read -r line; do
      printf '%s\n' "${line//@RANDOM@/$(openssl rand -hex 32)}"
    done <"$source/wp-config-docker.php" >"$new"
  )
  mv "$new" "$target/wp-config.php"
}

if [[ ${1:-} == apache2* || ${1:-} == php-fpm ]]; then
  [[ -e $target/index.php ]] || copy_wordpress
  [[ -e $target/wp-config.php ]] || write_configuration
  if ((EUID == 0)); then
    chown "$owner" "$target" "$target/index.php" "$target/wp-config.php"
  fi
fi
exec "$@"
