#!/bin/sh
# Starts the server of a host. One that comes back may not be the primary any more: the other hosts' Sentinels know.
for number in 1 2 3; do
    primary=$(timeout 3 "$1-cli" -h "sentinel-$number" -p "2638$number" sentinel get-master-addr-by-name mymaster | tr '\n' ' ')
    case $primary in
        "store-$2 "*) break ;;
        store-*) exec "$1-server" /data/store.conf --repl-diskless-sync-delay 0 --replicaof "$primary" ;;
    esac
done
exec "$1-server" /data/store.conf --repl-diskless-sync-delay 0
