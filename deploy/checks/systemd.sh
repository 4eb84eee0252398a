#!/usr/bin/env bash
# The units: what systemd-analyze says of them, then a booted system (in a container of its own) that runs
# them, kills, freezes and stops them.
source "$(dirname "$0")/common.sh"

# Of 10; anything below 2 is "OK" with every sandbox that a network service can have.
EXPOSURE=1.4
UNITS="lockstep-coordinator.service lockstep-worker@.service"

analyze() {
  debian systemd-analyze -- systemd
  local unit sane="$WORK/units" exposure
  mkdir "$sane"
  for unit in $UNITS; do
    # The command is not installed here; whether the path exists is the only thing not verified.
    sed 's|/usr/local/bin/lockstep|/bin/true|' "$ROOT/deploy/systemd/$unit" >"$sane/$unit"
  done
  systemd-analyze verify --recursive-errors=yes "$sane/lockstep-coordinator.service" "$sane/lockstep-worker@1.service" \
    >"$WORK/verify" 2>&1 || fail "verify: $(head -3 "$WORK/verify")"
  [[ ! -s $WORK/verify ]] || fail "verify: $(head -3 "$WORK/verify")"
  # A check that cannot fail says nothing.
  sed '/^WatchdogSec/s/WatchdogSec/WatchDogSec/' "$sane/lockstep-coordinator.service" >"$sane/wrong.service"
  systemd-analyze verify --recursive-errors=yes "$sane/wrong.service" >/dev/null 2>&1 && fail "verify passes an unknown key"
  ok "verify --recursive-errors=yes is clean"
  for unit in $UNITS; do
    exposure=$(systemd-analyze security --offline=yes --no-pager "$sane/$unit" 2>/dev/null \
      | sed -n 's/.*Overall exposure level.*: \([0-9.]*\) .*/\1/p')
    awk -v found="$exposure" -v most=$EXPOSURE 'BEGIN { exit !(found != "" && found <= most) }' \
      || fail "security: $unit is exposed $exposure of 10, more than $EXPOSURE"
    ok "security: $unit is exposed $exposure of 10"
  done
}

boot() {
  root "to boot a system in a container"
  built
  debian systemd-nspawn mmdebstrap -- systemd-container mmdebstrap
  local system="$WORK/system" cached="$TARGET/deploy-systemd.tar" digest
  if [[ ! -f $cached ]]; then
    mmdebstrap --quiet --format=tar --variant=minbase --include=systemd "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$cached.part" \
      >"$WORK/mmdebstrap.log" 2>&1 || skipped "no base system: $(tail -1 "$WORK/mmdebstrap.log")"
    mv "$cached.part" "$cached"
  fi
  mkdir "$system"
  tar -C "$system" -xf "$cached"
  install "$LOCKSTEP" "$system/usr/local/bin/lockstep"
  install -m 644 -t "$system/etc/systemd/system" "$ROOT"/deploy/systemd/*.service
  install -m 644 -D "$ROOT/deploy/systemd/lockstep.sysusers.conf" "$system/usr/lib/sysusers.d/lockstep.conf"
  mkdir -p "$system/etc/lockstep"
  run_file "$system/etc/lockstep/run.toml" 2000
  digest=$(local_digest "$system/etc/lockstep/run.toml")
  echo LOCKSTEP_LISTEN=127.0.0.1:29500 >"$system/etc/lockstep/coordinator.env"
  "$LOCKSTEP" certs init "$WORK/certs" --name localhost >/dev/null 2>&1 || fail "certs init"
  cp -r "$WORK/certs/coordinator" "$system/etc/lockstep/coordinator"
  cp -r "$WORK/certs/workers/worker" "$system/etc/lockstep/worker"
  echo LOCKSTEP_COORDINATOR=127.0.0.1:29500 >"$system/etc/lockstep/worker.env"
  install "$(dirname "$0")/systemd-inside.sh" "$system/usr/local/bin/check"
  cat >"$system/etc/systemd/system/check.service" <<UNIT
[Unit]
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
TimeoutStartSec=4min
ExecStart=/usr/local/bin/check $digest
StandardOutput=file:/check.out
StandardError=inherit
[Install]
WantedBy=multi-user.target
UNIT
  ln -s ../check.service "$system/etc/systemd/system/multi-user.target.wants/"
  timeout 300 systemd-nspawn -q -D "$system" --register=no --keep-unit --private-network --link-journal=no -b \
    </dev/null >"$WORK/console" 2>&1 || true
  [[ -s $system/check.out ]] || fail "the system did not boot: $(tail -1 "$WORK/console")"
  while read -r what text; do
    case $what in ok) ok "$text" ;; fail) fail "$text" ;; *) echo "      $what $text" ;; esac
  done <"$system/check.out"
  grep -q '^ok the digest' "$system/check.out" || fail "the system was not checked to its end"
}

analyze
if [[ -z $INSTALL ]]; then skip "a booted system: make check-deploy"; else boot; fi
