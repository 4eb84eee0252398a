#!/bin/bash
# Runs as root in the booted system. $1 is the digest of a local run.
fail() { echo "fail $*"; journalctl -q --no-pager -u 'lockstep-*' | tail -20; exit 1; }
of() { systemctl show -P "$2" "$1"; }
until_true() {
  local text=$1 tries=600
  shift
  until "$@"; do ((tries-- > 0)) || fail "not in time: $text"; sleep 0.1; done
}
is() { [[ $(of "$1" "$2") == "$3" ]]; }
run=/var/lib/lockstep/run
step() { tail -1 $run/metrics.jsonl 2>/dev/null | sed -n 's/.*"step":\([0-9]*\).*/\1/p'; }
beyond() { [[ $(step) -gt $1 ]]; }
goes_on() { until_true "$1: the run goes on" beyond "$(($(step) + 50))"; }

for unit in lockstep-coordinator lockstep-worker@; do
  mkdir -p "/etc/systemd/system/$unit.service.d"
  printf '[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\nRestartSec=500ms\n' >"/etc/systemd/system/$unit.service.d/fast.conf"
done
# A unit that is enabled stays loaded, with its exit code.
systemctl enable -q lockstep-coordinator lockstep-worker@1 lockstep-worker@2
systemctl daemon-reload

# As deploy/README.md says.
chgrp -R lockstep /etc/lockstep/{coordinator,worker}
chmod 750 /etc/lockstep/{coordinator,worker}
chmod 640 /etc/lockstep/{coordinator,worker}/*

# Workers first: they wait.
systemctl start lockstep-worker@1 lockstep-worker@2 || fail "workers do not start"
systemctl start lockstep-coordinator || fail "the coordinator does not start"
until_true "the run has begun" beyond 50
[[ $(of lockstep-coordinator StatusText) == "listening on "* ]] || fail "no status"
[[ $(stat -c %U:%a $run/..) == lockstep:700 ]] || fail "the state directory is open"
echo "ok Type=notify: workers wait for a coordinator that starts later"

systemctl kill -s KILL lockstep-coordinator
until_true "a killed coordinator is started again" is lockstep-coordinator NRestarts 1
goes_on "after a kill"
echo "ok a killed coordinator is started again and goes on"

systemctl kill -s STOP lockstep-coordinator
until_true "the watchdog ends a frozen coordinator" is lockstep-coordinator NRestarts 2
goes_on "after a freeze"
systemctl kill -s STOP lockstep-worker@1
until_true "the watchdog ends a frozen worker" is lockstep-worker@1 NRestarts 1
goes_on "after a frozen worker"
echo "ok a frozen coordinator and a frozen worker are ended by their watchdogs, started again, and go on"

systemctl stop lockstep-worker@2
[[ $(of lockstep-worker@2 Result):$(of lockstep-worker@2 ExecMainStatus):$(of lockstep-worker@2 ActiveState) == success:75:inactive ]] \
  || fail "a stopped worker: $(systemctl show lockstep-worker@2 -p Result,ExecMainStatus,ActiveState)"
systemctl stop lockstep-coordinator
[[ $(of lockstep-coordinator Result):$(of lockstep-coordinator ExecMainStatus) == success:75 ]] \
  || fail "a stopped coordinator: $(systemctl show lockstep-coordinator -p Result,ExecMainStatus)"
# The other worker was told that the run was stopped (75): it is started again, and waits.
until_true "the worker waits again" is lockstep-worker@1 ActiveState active
systemctl start lockstep-coordinator lockstep-worker@2
goes_on "after a stop"
echo "ok systemctl stop is a success with exit code 75, and not started again; a worker of a stopped run waits"

finished() { is lockstep-coordinator ActiveState inactive && [[ -s $run/results.json ]]; }
until_true "the run ends" finished
[[ $(of lockstep-coordinator ExecMainStatus) == 0 ]] || fail "the coordinator ended with $(of lockstep-coordinator ExecMainStatus)"
until_true "worker 1 has ended" is lockstep-worker@1 ActiveState inactive
until_true "worker 2 has ended" is lockstep-worker@2 ActiveState inactive
grep -q "$1" $run/results.json || fail "the digest is $(grep digest $run/results.json), expected $1"

rm -rf $run
echo 'seed = "seven"' >>/etc/lockstep/run.toml
systemctl start lockstep-coordinator 2>/dev/null && fail "a bad run file is taken"
sleep 2
[[ $(of lockstep-coordinator ExecMainStatus):$(of lockstep-coordinator NRestarts):$(of lockstep-coordinator ActiveState) == 78:0:failed ]] \
  || fail "a bad run file: $(systemctl show lockstep-coordinator -p ExecMainStatus,NRestarts,ActiveState)"
echo "ok a bad run file (78) is not tried again"
echo "ok the digest is that of the local run, after two kills and a stop: ${1:0:19}…"
