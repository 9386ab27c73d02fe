#!/bin/sh
# Hands the role of master over, from the one behind the link to the one beside this script. In its environment: LINK (alias:port), OWN (port), RUN_ID.
# The order makes it safe: the old one stops taking writes, then all it ever took is here, only then does this one take any.
set -eu

# both know the same operator, where there is one; the password is the first line of input, and in no argument
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

found=$(there 'INFO server' | field run_id)
[ "$found" = "$RUN_ID" ] || stop "expected the old Redis (run_id $RUN_ID) behind $LINK, found ${found:-none}"

there 'CLIENT PAUSE 10000 WRITE' > /dev/null
tries=100
until [ "$(here 'INFO replication' | field slave_repl_offset)" = "$(there 'INFO replication' | field master_repl_offset)" ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || stop "expected the new Redis to catch up while writes are paused, found that it does not"
    sleep 0.05
done

# its connections are closed: what they ask again goes to the new one
last=$(there "REPLICAOF ${LINK%:*} ${LINK#*:}" 'INFO replication' 'CLIENT KILL TYPE normal SKIPME yes' | field slave_repl_offset)
own=$(here 'INFO replication' | field slave_repl_offset)
[ "$own" = "$last" ] || stop "expected all $last bytes of the old Redis here, found ${own:-none}"
here 'REPLICAOF NO ONE' > /dev/null
