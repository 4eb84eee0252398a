#!/usr/bin/env bash
# By hand and by ssh, on hosts with addresses of their own (network namespaces, 200 Mbit/s each): a
# coordinator that is not there at first, a link that goes down and up, real sshd.
source "$(dirname "$0")/common.sh"

[[ -n $INSTALL ]] || skipped "hosts: make check-deploy"
root "for network namespaces"
built
debian ip tc sshd ssh ssh-keygen -- iproute2 openssh-server openssh-client
source "$(dirname "$0")/hosts.sh"
hosts h1 h2 h3
for number in "${!HOSTS[@]}"; do
  tc qdisc add dev "$BRIDGE-$number" root tbf rate 200mbit burst 64kb latency 50ms || skipped "there is no tbf here"
done

run_file "$WORK/run.toml" 2000
digest=$(local_digest "$WORK/run.toml")
"$LOCKSTEP" certs init "$WORK/certs" --name "$GATEWAY" >/dev/null 2>&1

# Workers first, then long nothing; one of them loses its link in the middle.
for host in h1 h2; do
  on "$host" "$LOCKSTEP" worker --coordinator "$GATEWAY:29561" --certs "$WORK/certs/workers/worker" --name "$host" --wait 60 \
    >"$WORK/$host.log" 2>&1 &
done
until_true 10 "a worker says that it waits" grep -q 'no coordinator at' "$WORK/h1.log"
"$LOCKSTEP" coordinator "$WORK/run.toml" --run-dir "$WORK/by-hand" --listen "$GATEWAY:29561" --certs "$WORK/certs/coordinator" \
  --set cluster.heartbeat_ms=200 >"$WORK/by-hand.log" 2>&1 &
coordinator=$!
until_true 60 "the run has begun" at_step "$WORK/by-hand" 300
link h2 down
until_true 30 "the coordinator misses h2" grep -q "worker h2 is gone" "$WORK/by-hand/lockstep.log"
link h2 up
back() { [[ $(grep -c "worker h2 on h2 joined" "$WORK/by-hand/lockstep.log") -ge 2 ]]; }
until_true 60 "h2 comes back" back
wait $coordinator || fail "coordinator: $(tail -1 "$WORK/by-hand.log")"
same "$digest" "$WORK/by-hand" "by hand, a link down and up, a late coordinator"

# sshd of each host, with a key for this check alone.
ssh-keygen -q -t ed25519 -N '' -f "$WORK/key"
ssh-keygen -q -t ed25519 -N '' -f "$WORK/host-key"
cp "$WORK/key.pub" "$WORK/authorized"
mkdir -p /run/sshd
for host in "${HOSTS[@]}"; do
  on "$host" "$(command -v sshd)" -D -e -f /dev/null -h "$WORK/host-key" -o AuthorizedKeysFile="$WORK/authorized" \
    -o StrictModes=no -o UsePAM=no -o PermitRootLogin=prohibit-password -o PidFile=none >"$WORK/sshd-$host.log" 2>&1 &
  printf 'Host %s\n  HostName %s\n' "$host" "$(address "$host")" >>"$WORK/ssh-config"
done
printf 'Host *\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n  StrictHostKeyChecking accept-new\n' \
  "$WORK/key" "$WORK/known" >>"$WORK/ssh-config"
reached() { ssh -F "$WORK/ssh-config" -o BatchMode=yes h1 true && ssh -F "$WORK/ssh-config" -o BatchMode=yes h3 true; }
until_true 20 "sshd answers: $(tail -1 "$WORK"/sshd-h1.log)" reached

"$LOCKSTEP" up "$WORK/run.toml" --hosts h1,h2:2,h3 --run-dir "$WORK/up" --listen 0.0.0.0:29562 --ssh "ssh -F $WORK/ssh-config" \
  --remote-lockstep "$LOCKSTEP" >"$WORK/up.log" 2>&1 &
up=$!
until_true 60 "the run has begun: $(tail -1 "$WORK/up.log")" at_step "$WORK/up" 300
# By a file: a search for the token must not have it on its own command line.
grep -lzFf "$WORK/up/secrets/token" /proc/[0-9]*/cmdline >"$WORK/told" 2>/dev/null && fail "a command line has the token: $(head -1 "$WORK/told")"
wait $up || fail "up: $(tail -2 "$WORK/up.log")"
for worker in h1-1 h2-1 h2-2 h3-1; do
  grep -q "worker $worker on ${worker%-*} joined" "$WORK/up/lockstep.log" || fail "worker $worker did not join"
done
same "$digest" "$WORK/up" "lockstep up over ssh, four workers on three hosts"
gone() { ! grep -qs "^$LOCKSTEP" $(for host in "${HOSTS[@]}"; do ip netns pids "$(space "$host")"; done | sed 's|.*|/proc/&/cmdline|'); }
until_true 20 "workers have ended with the run" gone
ok "workers have ended with the run"
