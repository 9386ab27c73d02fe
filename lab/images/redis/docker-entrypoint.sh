#!/bin/sh
# Behaves as the official image's: options or a .conf alone mean redis-server, and root hands over to `redis`.
set -e

case $1 in
    -* | *.conf) set -- redis-server "$@" ;;
esac

program=${1##*/}
if [ "$(id -u)" = 0 ] && { [ "$program" = redis-server ] || [ "$program" = redis-sentinel ]; }; then
    find . ! -user redis -exec chown redis {} +
    exec setpriv --reuid redis --regid redis --clear-groups "$0" "$@"
fi

if [ "$(umask)" = 0022 ]; then
    umask 0077 # data files are for redis only, unless the caller chose otherwise
fi

exec "$@"
