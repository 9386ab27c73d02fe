# shellcheck shell=sh
# The published ambassador's scan of link variables: one socat for each listening port.
# A variable counts by its name and its whole value, so that none is ever executed.
trap 'exit 1' USR1
trap 'exit 0' TERM INT

scan() {
  awk 'BEGIN {
    for (name in ENVIRON) {
      value = ENVIRON[name]
      if (name !~ /^[A-Za-z_][A-Za-z0-9_]*_PORT_[0-9]+_TCP$/) continue
      if (value !~ /^tcp:\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]+$/) continue
      port = name; sub(/_TCP$/, "", port); sub(/.*_PORT_/, "", port)
      target = substr(value, 7)
      print port, (target ~ /^\[/ ? "TCP6:" : "TCP4:") target, name
    }
  }'
}

# keepalive ends the processes of idle connections on a dead path
alive=keepalive,keepidle=5,keepintvl=3,keepcnt=3

links=$(scan)
[ -n "$links" ] || { echo "no link variable <ALIAS>_PORT_<port>_TCP=tcp://<address>:<port> found" >&2; exit 1; }
# more than socat's five may knock at once: what the kernel drops comes again only after a second
while read -r port target name; do
  listen=${AMBASSADOR_IPV6:+TCP6-LISTEN:$port,ipv6only=0,}
  listen=${listen:-TCP4-LISTEN:$port,}${AMBASSADOR_RANGE:+range=$AMBASSADOR_RANGE,}fork,reuseaddr,backlog=1024,max-children=${AMBASSADOR_CHILDREN:-1000},$alive
  echo "$name: listening on $port, forwarding to $target"
  # one that ends takes the container down, and Docker starts it again
  { socat -t 100000000 "$listen" "$target,$alive"; kill -USR1 $$; } &
done <<LINKS
$links
LINKS
wait
