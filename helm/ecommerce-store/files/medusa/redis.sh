# Starts Redis, or with `ready` asks whether it serves. The password is read from REDIS_PASSWORD_FILE, or
# is REDIS_PASSWORD, and reaches server and client on standard input or by the environment, never as an
# argument.
set -eu

if [ -n "${REDIS_PASSWORD_FILE:-}" ]; then
  REDIS_PASSWORD=$(cat "$REDIS_PASSWORD_FILE")
fi
if [ "${1:-}" = ready ]; then
  # A refused or loading server answers with an error, and a success.
  [ "$(REDISCLI_AUTH=$REDIS_PASSWORD redis-cli -h 127.0.0.1 ping)" = PONG ]
  exit
fi
exec redis-server - <<END
$(cat /etc/storeplane/redis/redis.conf)
requirepass $REDIS_PASSWORD
END
