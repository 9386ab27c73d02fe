#!/bin/sh
# Behaves as the official image's: options alone mean postgres, root hands over to `postgres`, an empty PGDATA gets a cluster.
set -e

case $1 in
    -*) set -- postgres "$@" ;;
esac

if [ "$1" != postgres ]; then
    exec "$@"
fi

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres {} +
    exec setpriv --reuid postgres --regid postgres --clear-groups "$0" "$@"
fi

chmod 0700 "$PGDATA" || true # it can belong to another user; postgres reports a wrong mode itself
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -n "$POSTGRES_PASSWORD_FILE" ]; then
        password="--pwfile=$POSTGRES_PASSWORD_FILE"
    elif [ "$method" != trust ]; then
        echo "expected POSTGRES_PASSWORD_FILE, or POSTGRES_HOST_AUTH_METHOD=trust, found neither" >&2
        exit 1
    fi
    # --no-sync: a lab's data need not outlive a power cut in their first second.
    initdb --username=postgres ${password:+"$password"} --auth-local=trust --auth-host=trust --no-sync --set='listen_addresses=*'
    echo "host all all all $method" >> "$PGDATA/pg_hba.conf"
fi

exec "$@"
