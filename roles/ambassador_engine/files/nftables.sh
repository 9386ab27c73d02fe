# shellcheck shell=sh
# The keeper of the kernel engine: it loads the current generation, follows the addresses behind the names of backends, and cuts
# what is no target of a link any more. Nothing that a link carries passes it: the kernel goes on without it.
#   no word          does all that, and answers on the pipe run/ask until it is stopped
#   check DIRECTORY  says what is wrong with a generation, and loads nothing
state=/etc/ambassador
run=/run/ambassador
loaded='' refused='' targets='' leaving=''

# compose DIRECTORY [check]: the ruleset, with addresses in the place of names (any address, where it is only checked), and a line
# `# target PROTOCOL PORT ADDRESS PORT DRAIN` for whatever a link leads to
compose() {
  awk -v only_checked="${2-}" -v own="${AMBASSADOR_PLACE:-1}" '
    function resolve(name, family,    command, line, found) {
      if (only_checked) return family == "ip" ? "1" : "[::1]"
      if (name !~ /^[A-Za-z0-9_.-]+$/) return ""
      command = "getent " (family == "ip" ? "ahostsv4 " : "ahostsv6 ") name
      while ((command | getline line) > 0) {
        sub(/ .*/, "", line)
        # an IPv4 address in the clothes of IPv6
        if (line ~ /^::ffff:/) continue
        # of several always the same one
        if (found == "" || line < found) found = line
      }
      close(command)
      return found == "" || family == "ip" ? found : "[" found "]"
    }
    $1 == "define" { value[$2] = $4; gsub(/"/, "", value[$2]) }
    $1 == "#" && $2 == "place" { elsewhere = !only_checked && $3 != own; next }
    $1 == "}" { elsewhere = 0 }
    elsewhere { next }
    match($0, /dnat ip6? to \$[A-Z0-9_]+:\$[A-Z0-9_]+/) {
      split(substr($0, RSTART, RLENGTH), to, /[ $:]+/)
      match($0, /(tcp|udp) dport [0-9]+/)
      split(substr($0, RSTART, RLENGTH), from, " ")
      address = value[to[4]]
      if (address !~ /^[0-9.]+$|:/) {
        address = resolve(address, to[2])
        if (address == "") sub(/dnat ip6? to [^ ]+/, "return")
        else sub(/\$[A-Z0-9_]+/, address)
      }
      gsub(/[][]/, "", address)
      alias = $0; sub(/.* comment "/, "", alias); sub(/[ "].*/, "", alias)
      alias = toupper(alias); gsub(/[^A-Z0-9]/, "_", alias)
      if (address != "") print "# target", from[1], from[3], address, value[to[5]], value["AMBASSADOR_DRAIN_" alias]
    }
    { print }
  ' "$1/links.nft" "$1/ambassador.nft"
}

# what was a target and is none any more has its drain left; flows of UDP are asked anew at once
retire() {
  read -r now _ < /proc/uptime
  leaving=$(
    echo "$leaving"
    printf '%s\n' "$targets" -- "$1" | awk -v now="${now%.*}" '
      $1 == "--" { fresh = 1; next }
      { link = $1 " " $2; target = link " " $3 " " $4 }
      !fresh && NF { was[target] = link; left[link] = $5; next }
      NF { is[target] = link; left[link] = $5 }
      END {
        for (target in was) if (!(target in is)) {
          if (target ~ /^udp/) anew[was[target]]
          else print now + left[was[target]], target
        }
        for (target in is) if (!(target in was) && target ~ /^udp/) anew[is[target]]
        for (link in anew) print now, link
      }'
  )
  targets=$1
}

# deletes the flows whose time is over; their next packet is refused
cut_flows() {
  [ -n "$leaving" ] || return 0
  read -r now _ < /proc/uptime
  leaving=$(echo "$leaving" | while read -r deadline protocol port address to; do
    [ -n "$deadline" ] || continue
    # it may be a target again
    if [ -n "$to" ] && echo "$targets" | grep -qF "$protocol $port $address $to "; then continue; fi
    if [ "$deadline" -gt "${now%.*}" ]; then
      echo "$deadline $protocol $port $address $to"
      continue
    fi
    for family in ipv4 ipv6; do
      if [ -z "$to" ]; then
        conntrack -D -f $family -p "$protocol" --orig-port-dst "$port"
      else
        conntrack -D -f $family -p "$protocol" --orig-port-dst "$port" --reply-src "$address" --reply-port-src "$to"
      fi
    done > /dev/null 2>&1
  done)
}

# load [again]: one transaction, or nothing; what was refused is tried again only when that is asked for
load() {
  directory=$(readlink -f "$state/current")
  if ! ruleset=$(compose "$directory" 2>&1); then
    words=$ruleset
  elif [ "$ruleset" = "$loaded" ]; then
    return 0
  elif [ "$ruleset" = "$refused" ] && [ -z "${1-}" ]; then
    return 1
  elif words=$(printf '%s\n' "$ruleset" | nft -f - 2>&1); then
    loaded=$ruleset refused=''
    retire "$(printf '%s\n' "$ruleset" | sed -n 's/^# target //p')"
    echo "$targets" | awk -v name="${directory##*/}" 'NF { print "generation " name ": " $1, $2, "to", $3, $4 }' >&2
    return 0
  fi
  [ "$ruleset" = "$refused" ] || echo "$words" >&2
  refused=$ruleset
  return 1
}

# the table as the kernel has it, on one line; then `PROTOCOL PORT ADDRESS PORT FLOWS` for whatever flows there are to
show() {
  nft -j list table inet ambassador || return
  for family in ipv4 ipv6; do conntrack -L -f $family 2> /dev/null; done | awk '
    $1 == "tcp" && $4 ~ /^[A-Z_]+$/ && $4 != "ESTABLISHED" { next }
    {
      dialled = port = address = to = ""
      for (i = 3; i <= NF; i++) {
        if ($i ~ /^dst=/ && dialled == "") dialled = substr($i, 5)
        if ($i ~ /^dport=/ && port == "") port = substr($i, 7)
        if ($i ~ /^src=/) address = substr($i, 5)
        if ($i ~ /^sport=/) to = substr($i, 7)
      }
      if (dialled != address) flows[$1 " " port " " address " " to]++
    }
    END { for (flow in flows) print flow, flows[flow] }'
}

if [ "${1-}" = check ]; then
  compose "$2" 1 | nft -c -f -
  exit
fi

trap 'exit 0' TERM INT
rm -rf "${run:?}"/*
load || exit 1
cut_flows
mkfifo -m 600 "$run/ask" || exit 1
exec 3<> "$run/ask"
while sleep 1; do echo tick; done >&3 &
while read -r word id <&3; do
  case $word in
    tick) load ;;
    reload)
      { if load again; then echo Success=1; else printf '%s\n' Success=0 "$words"; fi; } > "$run/$id.new"
      mv "$run/$id.new" "$run/$id"
      ;;
    show)
      show > "$run/$id.new" 2>&1
      mv "$run/$id.new" "$run/$id"
      ;;
  esac
  cut_flows
done
