#!/bin/sh
# Moves the role of the primary from the Redis behind the link to the local Redis. Environment: LINK (alias:port), OWN (port), RUN_ID.
# The order is safe: the old Redis stops writes, the new Redis gets all data, and only then it accepts writes.
set -eu

# both have the same operator, or none. The password is the first line of input, and in no argument
ask() {
    if [ -r /etc/ambassador/operator ]; then
        cat /etc/ambassador/operator - | redis-cli --user operator --askpass "$@"
    else
        redis-cli "$@"
    fi | tr -d '\r'
}
here() { printf '%s\n' "$@" | ask -p "$OWN"; }
there() { printf '%s\n' "$@" | ask -h "${LINK%:*}" -p "${LINK#*:}"; }
field() { sed -n "s/^$1://p"; }
stop() {
    echo "$*" >&2
    exit 1
}

run_id=$(there 'INFO server' | field run_id)
[ "$run_id" = "$RUN_ID" ] || stop "the server behind $LINK is not the old Redis with run_id $RUN_ID (run_id ${run_id:-none})"

there 'CLIENT PAUSE 10000 WRITE' > /dev/null
tries=100
until [ "$(here 'INFO replication' | field slave_repl_offset)" = "$(there 'INFO replication' | field master_repl_offset)" ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || stop "the new Redis does not catch up while writes are paused"
    sleep 0.05
done

# its connections are closed, because repeated requests have to go to the new Redis
last=$(there "REPLICAOF ${LINK%:*} ${LINK#*:}" 'INFO replication' 'CLIENT KILL TYPE normal SKIPME yes' | field slave_repl_offset)
own=$(here 'INFO replication' | field slave_repl_offset)
[ "$own" = "$last" ] || stop "the new Redis has ${own:-none} of $last bytes of the old Redis"
here 'REPLICAOF NO ONE' > /dev/null
