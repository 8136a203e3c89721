# shellcheck shell=bash disable=SC2034 # read by scripts/images
# What a Medusa store runs on, in one image, which is built and imported in a third of the time of three:
# Postgres and Redis with their clients, and Node with a small server of our own in Medusa's place.

image=localhost/storeplane/medusa:stand-in
packages=(nodejs node-pg node-redis postgresql-15 redis-server redis-tools)
accounts='node:x:1000:1000::/server:/usr/sbin/nologin
postgres:x:999:999::/var/lib/postgresql:/usr/sbin/nologin'
settings='{
  "Entrypoint": ["docker-entrypoint.sh"],
  "Cmd": ["node_modules/.bin/medusa", "start"],
  "Env": [
    "PATH=/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG=C.UTF-8", "PGDATA=/var/lib/postgresql/data/pgdata"
  ],
  "WorkingDir": "/server",
  "ExposedPorts": {"9000/tcp": {}, "5432/tcp": {}, "6379/tcp": {}},
  "StopSignal": "SIGINT"
}'

finish_root() {
  local root=$1 modules=$1/server/node_modules
  # A project's modules, in part Debian's.
  install -d "$modules/.bin"
  ln -s ../../src/medusa.js "$modules/.bin/medusa"
  ln -s /usr/share/nodejs/pg /usr/share/nodejs/redis "$modules/"
  # The cluster that the package made, and the compiler of queries, which is large.
  rm -rf "$root"/var/lib/postgresql/15 "$root"/etc/postgresql/15 "$root"/usr/share/i18n \
    "$root"/usr/lib/postgresql/15/lib/{bitcode,llvmjit*} "$root"/usr/lib/*/lib{LLVM,z3}*
  # Whatever user a security context names may write its socket here.
  install -d -m 1777 "$root/run/postgresql"
  install -d -m 777 -o 999 -g 999 "$root/var/lib/postgresql/data" "$root/data"
}
