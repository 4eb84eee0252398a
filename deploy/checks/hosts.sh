# Hosts on one machine: network namespaces with addresses and names of their own; sourced after common.sh.
#
#   hosts NAME...        makes them; HOSTS, GATEWAY (this machine's address among them)
#   address NAME         its address
#   on NAME COMMAND...   runs it there, with that host name; what still runs there at the end is ended
#   link NAME up|down    its cable

HOSTS=()
BRIDGE=lsk$$
GATEWAY=10.177.0.1

space() { echo "lockstep-$$-$1"; }

address() {
  local number
  for number in "${!HOSTS[@]}"; do
    if [[ ${HOSTS[number]} == "$1" ]]; then echo "10.177.0.$((number + 11))"; return; fi
  done
  fail "there is no host $1"
}

hosts() {
  HOSTS=("$@")
  local number host
  ip link add "$BRIDGE" type bridge && ip address add "$GATEWAY/24" dev "$BRIDGE" && ip link set "$BRIDGE" up \
    || skipped "there are no bridges here"
  echo "127.0.0.1 localhost" >"$WORK/hosts"
  echo "$GATEWAY head" >>"$WORK/hosts"
  for host in "${HOSTS[@]}"; do echo "$(address "$host") $host" >>"$WORK/hosts"; done
  for number in "${!HOSTS[@]}"; do
    host=${HOSTS[number]}
    ip netns add "$(space "$host")" || skipped "there are no network namespaces here"
    # `ip netns exec` shows this file as /etc/hosts.
    mkdir -p "/etc/netns/$(space "$host")"
    cp "$WORK/hosts" "/etc/netns/$(space "$host")/hosts"
    ip link add "$BRIDGE-$number" type veth peer name eth0 netns "$(space "$host")"
    ip link set "$BRIDGE-$number" master "$BRIDGE" up
    ip -n "$(space "$host")" address add "$(address "$host")/24" dev eth0
    ip -n "$(space "$host")" link set lo up
    ip -n "$(space "$host")" link set eth0 up
  done
}

on() {
  local host=$1
  shift
  ip netns exec "$(space "$host")" unshare --uts sh -c 'hostname "$0"; exec "$@"' "$host" "$@"
}

link() {
  local number
  for number in "${!HOSTS[@]}"; do
    if [[ ${HOSTS[number]} == "$1" ]]; then ip link set "$BRIDGE-$number" "$2"; fi
  done
}

ended() {
  local host pid
  for host in "${HOSTS[@]}"; do
    for pid in $(ip netns pids "$(space "$host")"); do kill -9 "$pid"; done
    ip netns delete "$(space "$host")"
    rm -rf "/etc/netns/$(space "$host")"
  done
  ip link delete "$BRIDGE"
  for pid in $(jobs -p); do kill "$pid"; done
  wait
} 2>/dev/null
