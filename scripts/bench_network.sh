#!/usr/bin/env bash
# A coordinator and two workers across links of 1 Gbit/s: whole steps of mlp_mid and mlp_big with both
# wires, beside what arithmetic and bytes alone would take. Needs root: it makes network namespaces, and
# removes them however it ends.
#
#   PREFIX-c (10.77.0.1) ──┐
#   PREFIX-w1 (10.77.0.2) ─┼─ bridge in PREFIX-r      each veth pair limited with tbf in both directions
#   PREFIX-w2 (10.77.0.3) ─┘
#
# usage: bench_network.sh BENCH [ARGUMENTS]...      (make bench-network ARGS="--case mlp_mid")
# RATE_MBIT sets another speed of the links. The file paths are those of the host: only the network differs.
set -euo pipefail

rate=${RATE_MBIT:-1000}
prefix=lockstep-$$

fail() {
    echo "bench-network: $1" >&2
    exit 1
}

[ $# -ge 1 ] || fail "usage: bench_network.sh BENCH [ARGUMENTS]..."
[ "$(id -u)" -eq 0 ] || fail "needs root, to make network namespaces: sudo make bench-network"
for tool in ip tc; do
    command -v "$tool" >/dev/null || fail "needs \`$tool\` (Debian: apt-get install iproute2)"
done

# Processes end with the benchmark that started them; devices go with their namespaces.
clean() {
    local name
    for name in c w1 w2 r; do
        ip netns delete "$prefix-$name" 2>/dev/null || true
    done
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# A burst must hold what the card's offload sends at once; the queue holds about 50 ms.
limit() {
    ip netns exec "$1" tc qdisc add dev "$2" root tbf rate "${rate}mbit" burst 256kb latency 50ms \
        || fail "this kernel has no tbf"
}

ip netns add "$prefix-r"
ip -n "$prefix-r" link add bridge type bridge
ip -n "$prefix-r" link set bridge up
address=1
for name in c w1 w2; do
    ip netns add "$prefix-$name"
    ip -n "$prefix-r" link add "$name" type veth peer name eth0 netns "$prefix-$name"
    ip -n "$prefix-r" link set "$name" master bridge up
    ip -n "$prefix-$name" address add "10.77.0.$address/24" dev eth0
    ip -n "$prefix-$name" link set lo up
    ip -n "$prefix-$name" link set eth0 up
    limit "$prefix-$name" eth0
    limit "$prefix-r" "$name"
    address=$((address + 1))
done

bench=$1
shift
"$bench" --namespaces "$prefix" --bandwidth $((rate * 1000000 / 8)) "$@"
