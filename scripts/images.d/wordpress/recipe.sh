# shellcheck shell=bash disable=SC2034 # read by scripts/images
# WordPress with Apache and PHP, laid out as in the official image.

image=localhost/storeplane/wordpress:6.1
packages=(
  wordpress wordpress-theme-twentytwentythree wordpress-theme-twentytwentyone apache2
  libapache2-mod-php php-cli php-mysql php-curl php-gd php-intl php-mbstring php-xml php-zip
  ca-certificates openssl
)
accounts=''
settings='{
  "Entrypoint": ["docker-entrypoint.sh"],
  "Cmd": ["apache2-foreground"],
  "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
  "WorkingDir": "/var/www/html",
  "ExposedPorts": {"80/tcp": {}},
  "Volumes": {"/var/www/html": {}},
  "StopSignal": "SIGWINCH"
}'

finish_root() {
  local root=$1
  copy_wordpress "$root"
  chroot "$root" a2dissite 000-default
  chroot "$root" a2enmod rewrite expires headers remoteip
  chroot "$root" a2disconf other-vhosts-access-log
  chroot "$root" a2enconf storeplane
  # shellcheck disable=SC2016 # Apache fills in its environment's variable
  printf 'Listen ${APACHE_PORT}\n' >"$root/etc/apache2/ports.conf"
  local folder
  for folder in "$root"/etc/php/*/apache2/conf.d "$root"/etc/php/*/cli/conf.d; do
    cp "$root/usr/local/share/php.ini" "$folder/90-storeplane.ini"
  done
  ln -s /usr/bin/php "$root/usr/local/bin/php"
  rm -f "$root"/var/www/html/index.html
  # Whatever user a security context names may write here.
  install -d -m 1777 "$root/run/apache2" "$root/run/lock/apache2"
  install -d -m 777 -o 33 -g 33 "$root/var/www/html"
}

# Debian spreads WordPress over /usr/share and /var/lib and joins it by links; a volume that holds
# a whole copy, as the official image's does, needs the files themselves.
copy_wordpress() {
  local root=$1 source=/usr/share/wordpress target=/usr/src/wordpress
  chroot "$root" cp -RL --no-preserve=mode,ownership "$source/." "$target/"
  rm -f "$root$target/wp-config.php" "$root$target/wp-config-sample.php"
  rm -rf "${root:?}$source" "${root:?}/var/lib/wordpress"
}
