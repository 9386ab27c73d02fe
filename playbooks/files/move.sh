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
ask_new() { printf '%s\n' "$@" | ask -p "$OWN"; }
ask_old() { printf '%s\n' "$@" | ask -h "${LINK%:*}" -p "${LINK#*:}"; }
field() { sed -n "s/^$1://p"; }
stop() {
    echo "$*" >&2
    exit 1
}

server_id=$(ask_old 'INFO server' | field run_id)
[ "$server_id" = "$RUN_ID" ] || stop "the server behind $LINK is not the old Redis with run_id $RUN_ID (run_id ${server_id:-none})"

ask_old 'CLIENT PAUSE 10000 WRITE' > /dev/null
tries=100
until [ "$(ask_new 'INFO replication' | field slave_repl_offset)" = "$(ask_old 'INFO replication' | field master_repl_offset)" ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || stop "the new Redis does not catch up while writes are paused"
    sleep 0.05
done

# its connections are closed, because repeated requests have to go to the new Redis
old_offset=$(ask_old "REPLICAOF ${LINK%:*} ${LINK#*:}" 'INFO replication' 'CLIENT KILL TYPE normal SKIPME yes' | field slave_repl_offset)
new_offset=$(ask_new 'INFO replication' | field slave_repl_offset)
[ "$new_offset" = "$old_offset" ] || stop "the new Redis has ${new_offset:-none} of $old_offset bytes of the old Redis"
ask_new 'REPLICAOF NO ONE' > /dev/null
